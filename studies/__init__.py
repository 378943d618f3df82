"""Studies with tessy, beside the package. docs/lab.md says how to run them.

lab          the small models that ship with tessy: their world, and how they are trained
study        what each method's data does to a student: `make study`
predictor    how the boundary predictor that ships was made and measured
command      how their commands end: errors, hints and exit codes
"""
