"""How far predicted keypoints are from the truth: OKS, PCK and PCKh."""
