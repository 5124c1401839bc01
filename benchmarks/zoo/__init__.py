"""Does every model of the installed mmseg have a DDU form that works?"""

from mmseg_ddu.python_ops import let_python_ops_through

let_python_ops_through()  # before anything imports mmseg
