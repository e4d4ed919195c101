# %% [markdown]
# # annotext from Python
#
# Drawn people stand in for a data set: one file with COCO's 17 keypoints, one with MPII's 16. COCO's people are
# extended by the keypoints that only MPII has, the result is measured against the truth, and taken out again. The
# predictions come from geometry alone, so that nothing has to be trained; a run of `annotext train` or an ONNX model
# takes their place as `ax.extend(annotations, images, "runs/my-run", output)`.
#
# All of it is written below `example/` in the current folder.

# %%
import json
from pathlib import Path

import annotext as ax
from annotext.calibration.baseline import pose_only_predictions
from annotext.formats.files.predictions import write_predictions

folder = Path("example")
ax.synthesise(folder, people=40, seed=0, sets=["coco", "mpii"], workers=1, force=True)
coco, mpii = folder / "coco" / "annotations.json", folder / "mpii" / "annotations.json"

# %% [markdown]
# ## Read
# One row per person and keypoint, in image pixels.

# %%
people = ax.read(coco)
print(people.to_frame().head(17))
lacking = ax.skeletons["union21"].missing_from(people.poses.skeleton)
print("COCO lacks", ", ".join(lacking))

# %% [markdown]
# ## Extend
# A midpoint of labelled keypoints is derived; the others come from the predictions. Without predictors `extend` decides
# from predictions that were made before.

# %%
predictions = folder / "predictions.parquet"
write_predictions(predictions, [pose_only_predictions(mpii, coco, lacking)], input_sha256=people.sha256, force=True)
extended = folder / "coco21.json"
report = ax.extend(coco, None, [], extended, predictions=predictions, force=True)
for keypoint, counts in report.to_dict()["keypoints"].items():
    print(f"{keypoint:<12}", counts["added"])

# %% [markdown]
# ## Evaluate
# The drawing knows where the points really are.

# %%
figures = ax.evaluate(folder / "coco" / "truth.json", extended, only_added=True)
for keypoint, figure in figures.keypoints.items():
    print(f"{keypoint:<12} {figure.n:>3} points, {figure.mean_error_px:.1f} px off, PCK@0.2 {figure.pck:.1f} %")

# %% [markdown]
# ## Look at the added points

# %%
frame = ax.read(extended).to_frame()
added = frame[frame.source.isin(["derived", "student", "teacher"])]
print(added.groupby(["keypoint", "source"], observed=True).score.describe()[["count", "mean"]])

# %% [markdown]
# ## Take them out again
# The file that was extended comes back.

# %%
stripped = folder / "stripped.json"
ax.strip(extended, stripped, force=True)
assert json.loads(stripped.read_text()) == json.loads(coco.read_text())
