"""What a release is worth on labelled pictures: what `protos.judged` holds, measured.

    measures     answers → metric, share of right ones, and each trial of a score
    isotonic     trials of scores → a calibration
    profile      which JPEGs are tried, and what each is worth
    service      all of it, one after the other

Rules that hold here: pictures are fitted, encoded and decoded by the agent, so that what is measured is what a box and
a cloud node see; a picture that a variant was calibrated on judges nothing; nothing is measured without labels.
"""
