// Styles.

const CSS = `
.atr { position: relative; display: flex; flex-direction: column; height: 100%; box-sizing: border-box; padding: 8px 10px;
  gap: 6px; font-size: 14px; color: var(--fo-palette-text-primary, #eee); background: var(--fo-palette-background-level2, #262626);
  font-family: inherit; user-select: none; }
.atr button { font: inherit; color: inherit; background: var(--fo-palette-background-level1, #333); cursor: pointer;
  border: 1px solid var(--fo-palette-divider, #555); border-radius: 4px; padding: 3px 8px; }
.atr button:hover:not(:disabled) { border-color: var(--fo-palette-text-secondary, #aaa); }
.atr button:disabled { opacity: .4; cursor: default; }
.atr kbd { font: inherit; font-size: 12px; line-height: 16px; padding: 0 5px; border-radius: 3px; white-space: nowrap;
  border: 1px solid currentColor; opacity: .75; }
.atr-top, .atr-progress { display: flex; align-items: center; gap: 8px; flex-wrap: wrap; }
.atr-where { font-weight: 600; white-space: nowrap; } .atr-dim { font-weight: 400; opacity: .7; }
.atr-grow { flex: 1; }
.atr-progress { font-size: 13px; } .atr-bar { flex: 1; min-width: 80px; height: 8px; border-radius: 4px; overflow: hidden;
  background: var(--fo-palette-background-level1, #444); } .atr-bar div { height: 100%; background: ${GOOD}; }
.atr-saved { opacity: .6; min-width: 60px; }
.atr-person { flex: 1; min-height: 0; display: flex; gap: 10px; } .atr-person.atr-narrow { flex-direction: column; }
.atr-stage { flex: 1; min-width: 0; min-height: 0; display: flex; flex-direction: column; gap: 6px; }
.atr-question { font-size: 17px; height: 44px; } .atr-facts { font-size: 13px; opacity: .75; }
.atr-question > div { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.atr-loupe { position: absolute; pointer-events: none; border: 2px solid #fffa; border-radius: 4px; background: #111; overflow: hidden; }
.atr-aim { stroke: #fff; stroke-width: 1.5; fill: none; } .atr-aim-under { stroke: #000; stroke-width: 3.5; stroke-opacity: .6; }
.atr-picture { position: relative; flex: 1; min-height: 120px; overflow: hidden; background: #111; border-radius: 4px;
  touch-action: none; cursor: grab; } .atr-picture svg { display: block; } .atr-placing { cursor: crosshair; }
.atr-placing .atr-grip { cursor: crosshair; }
.atr-hint { position: absolute; left: 50%; top: 10px; transform: translateX(-50%); background: #000c; color: #fff;
  padding: 6px 12px; border-radius: 4px; pointer-events: none; }
.atr-side { width: clamp(190px, 32%, 252px); flex: none; display: flex; flex-direction: column; gap: 8px; min-height: 0; }
.atr-narrow .atr-side { width: auto; max-height: 50%; }
.atr-narrow .atr-actions { grid-template-columns: repeat(3, 1fr); } .atr-narrow button.atr-wide { grid-column: auto; }
.atr-list { flex: 1; min-height: 40px; overflow-y: auto; }
.atr-head { font-size: 12px; opacity: .6; padding: 6px 2px 2px; }
.atr-point { display: flex; align-items: center; gap: 8px; padding: 5px 6px; border-radius: 4px; cursor: pointer;
  border: 1px solid transparent; }
.atr-point:hover { background: var(--fo-palette-background-level1, #333); }
.atr-on { border-color: var(--fo-palette-text-primary, #fff); background: var(--fo-palette-background-level1, #333); }
.atr-name { flex: 1; white-space: nowrap; } .atr-done .atr-name { opacity: .65; }
.atr-score { opacity: .8; } .atr-state { white-space: nowrap; }
.atr-others { font-size: 12px; opacity: .8; border: 1px dashed currentColor; border-radius: 3px; padding: 0 4px; }
.atr button.atr-back { padding: 0 5px; }
.atr-swatch { display: inline-block; box-shadow: 0 0 0 1px #8886; box-sizing: border-box; width: 13px; height: 13px; border-radius: 50%; flex: none; }
.atr-finding { font-size: 13px; padding: 1px 6px; } .atr-remark { font-size: 13px; padding: 1px 6px; font-style: italic; }
.atr-actions { display: grid; grid-template-columns: 1fr 1fr; gap: 6px; }
.atr button.atr-action { display: flex; justify-content: space-between; align-items: center; padding: 7px 9px; }
.atr button.atr-good { border-color: ${GOOD}; } .atr button.atr-bad { border-color: ${BAD}; }
.atr button.atr-wide { grid-column: 1 / -1; }
.atr-message { font-size: 13px; opacity: .8; min-height: 18px; }
.atr-empty { flex: 1; padding: 32px; font-size: 15px; }
.atr-failure { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center; background: #b00020; color: #fff;
  padding: 10px 12px; border-radius: 4px; font-size: 15px; animation: atr-shake .3s; }
.atr-banner { position: fixed; inset: 0 0 auto 0; z-index: 9999; border-radius: 0; justify-content: center; }
.atr-failure button { background: #fff; color: #b00020; }
@keyframes atr-shake { 25% { transform: translateX(-6px); } 75% { transform: translateX(6px); } }
.atr-note, .atr-card { background: var(--fo-palette-background-level1, #333); border-radius: 6px; padding: 14px 18px;
  box-shadow: 0 4px 24px #000a; border: 1px solid var(--fo-palette-divider, #555); }
.atr-note { position: absolute; left: 50%; bottom: 60px; transform: translateX(-50%); width: min(440px, 90%); z-index: 3;
  display: flex; flex-direction: column; gap: 10px; }
.atr-note > input { font: inherit; padding: 8px; border-radius: 4px; border: 1px solid #888; background: #fff; color: #111; }
.atr-help { position: absolute; inset: 0; background: #0009; z-index: 4; display: flex; align-items: center;
  justify-content: center; cursor: pointer; overflow: auto; }
.atr-card { max-width: 560px; } .atr-card h3 { margin: 0 0 8px; } .atr-card td { padding: 2px 12px 2px 0; vertical-align: top; }
.atr-legend { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 12px; margin-top: 10px; }
.atr-legend div { display: flex; gap: 8px; align-items: center; font-size: 13px; }
.atr-box { fill: none; stroke: #fff; stroke-opacity: .35; stroke-dasharray: 4 4; }
.atr-under { stroke: #000; stroke-opacity: .45; stroke-width: 4; stroke-linecap: round; }
.atr-limb { stroke-width: 2; stroke-linecap: round; stroke: ${HUMAN}; }
.atr-limb-left { stroke: #8fd0ff; } .atr-limb-right { stroke: #2f86bd; } .atr-limb-middle { stroke: ${HUMAN}; }
.atr-limb-added { stroke: #E69F00; stroke-dasharray: 5 3; stroke-opacity: .9; }
.atr-dot { stroke-width: 2; } .atr-human { stroke: #0008; stroke-width: 1; } .atr-hollow { stroke-width: 3; }
.atr-hidden { stroke-dasharray: 3 2.5; } .atr-human.atr-hidden { fill-opacity: .45; stroke: #fff; stroke-width: 1; }
.atr-shade { fill: none; stroke: #000; stroke-opacity: .6; stroke-width: 5; }
.atr-ring { stroke-width: 3; } .atr-centre { stroke: #000; stroke-width: .8; }
.atr-within { fill: #fff; fill-opacity: .06; stroke: #fff; stroke-opacity: .8; stroke-dasharray: 6 5; }
.atr-way { stroke: #fff; stroke-width: 1.5; stroke-dasharray: 3 3; } .atr-was { fill: none; stroke: #fff; stroke-opacity: .7; }
.atr-cross { stroke: ${BAD}; stroke-width: 3; fill: none; } .atr-tick { font-size: 16px; font-weight: 700; paint-order: stroke;
  stroke: #000; stroke-width: 3px; }
.atr-grip { fill: transparent; cursor: move; } .atr-look { fill: transparent; }
.atr-label rect { fill: #000; fill-opacity: .75; } .atr-label text { fill: #fff; font-size: 13px; }
`;

if (!document.getElementById("annotext-review-style")) {
  const style = document.createElement("style");
  style.id = "annotext-review-style";
  style.textContent = CSS;
  document.head.appendChild(style);
}
