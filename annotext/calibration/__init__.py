"""How far added points can be trusted: fitted on people whose truth is known, applied to everybody else."""
