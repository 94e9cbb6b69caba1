"""Variants of a release: int8 by static quantisation, fp16 by halving, each through a gate.

    datasets  labelled pictures: COCO, YOLO and class folders → truths
    frames    pictures as the agent fits them for the model, read from its stream
    metrics   mAP50, top-1, and agreement with fp32 where nothing is labelled
    domain    what is tried in which order, and the gate
    regions   which nodes stay in fp32: pixels before the first layer, decoding after the last
    halves    a graph after its halving, and what a GPU would make of it
    runtime_ort   ONNX Runtime, and nowhere else in the control plane
    service   all of it, one after the other
    folder    the release with its new variant

Rules that hold here: the pictures a variant is judged on are never among those it was calibrated on; what is measured
without labels is called agreement and never accuracy; a variant that does not pass leaves nothing behind.
"""
