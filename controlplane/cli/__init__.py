"""The `longshore` command. It talks to the REST API only; `up` starts processes and `package` reads local files.

Every module is imported when its command runs, so that `longshore --help` answers at once. A user never sees a
traceback: what fails is one sentence with the next step and an exit code (`exits`).
"""
