"""The inference protocol measured: raw ONNX Runtime, the agent and its peers, on the same cores in the same run.

`graphs` and `workloads` say what is asked, `wire` how it travels, `load` with which pressure, `contenders` who answers;
`rounds` asks them all in turn; `figures` and `table` make of it what people read. Of these, graphs, wire, figures and
table touch neither processes nor files.
"""
