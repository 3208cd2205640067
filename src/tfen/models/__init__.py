"""Networks: halves of SE-ResNet-18 and 3D-ResNet-18, the decoupler, TFEN and its variants, weights.

Shape letters in tensor names: B clips, S frames, C channels, H W height and width, N faces, K expressions.
"""
