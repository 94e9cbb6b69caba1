"""Bring your own model: a stranger's ONNX graph becomes one in our form, with everything model-specific inside.

    form       graphs that are in that form already
    seen       what a graph shows: inputs, outputs, names in its metadata, how its scores end
    surgery, opsets, batch     old graphs made plain: no constants among inputs, opset 11 or newer, a free batch
    pixels     image uint8[N,H,W,3] → what the graph takes
    heads/     what the graph gives → boxes and scores of candidates
    selection  candidates → boxes, scores, classes of the best K
    folding    all of it, one after the other: `plan` decides and explains, `fold` writes

Rules that hold here: values in, values out; no file, no clock, and no runtime: what a graph computes is never run here.
"""
