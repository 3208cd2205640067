"""What the paper reports (Teng et al., "Typical Facial Expression Network Using a Facial Feature Decoupler and
Spatial-Temporal Learning"), as it is printed; where the print is in error, the note says so."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Distances:
    """One network's half of Table 11 or 12: distances of t-SNE features, in the order of the set's `distance_order`.

    `between`: centres of two expressions; `mean` and `variance`: of an expression's features from its centre.
    """

    between: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]


@dataclass(frozen=True)
class PublishedSet:
    """The paper's figures for one data set; percent.

    `rivals`: (method, descriptor, accuracy) of Tables 2, 4 and 6; for DFEW (Table 8) (method, descriptor, UAR, WAR).
    `std`: as printed in Section 4.6; see docs/method.md for what it can and cannot be. `confusion`: Tables 3, 5, 7 and 9,
    rows and columns in `order`. `ablations`: Table 10. `distances`: Tables 11 and 12. `errata`: where the print is in
    error.
    """

    title: str
    accuracy: float
    std: float
    order: tuple[str, ...]
    confusion: tuple[tuple[float, ...], ...]
    rivals: tuple[tuple[str | float, ...], ...]
    ablations: dict[str, float]
    uar: float | None = None
    distances: dict[str, Distances] = field(default_factory=dict)
    distance_order: tuple[str, ...] = ()
    errata: tuple[str, ...] = ()


_SEVEN = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
_SIX = ("anger", "disgust", "fear", "happiness", "surprise", "sadness")

PUBLISHED: dict[str, PublishedSet] = {
    "ckplus": PublishedSet(
        title="CK+",
        accuracy=98.78,
        std=1.609,
        order=_SEVEN,
        confusion=(
            (95.56, 0, 2.22, 0, 0, 2.22, 0),
            (0, 100, 0, 0, 0, 0, 0),
            (0, 0, 100, 0, 0, 0, 0),
            (0, 0, 0, 96, 4, 0, 0),
            (0, 0, 0, 0, 100, 0, 0),
            (3.57, 0, 0, 0, 0, 93.43, 0),
            (0, 0, 0, 0, 0, 0, 100),
        ),
        rivals=(
            ("Liu et al.", "3DCNN", 85.9),
            ("Klaser et al.", "HOG 3D", 91.44),
            ("Liu et al.", "3DCNN-DAP", 92.4),
            ("Walecki et al.", "VSL-CRF", 93.9),
            ("Liu et al.", "STM-ExpLet", 94.19),
            ("Jung et al.", "CNN-DNN", 97.25),
            ("Kuo et al.", "CNN", 98.41),
            ("Zhang et al.", "PHRNN-MSCNN", 98.50),
        ),
        ablations={
            "without-decoupler": 96.94,
            "without-adversarial": 92.46,
            "without-facial-decoupling": 97.61,
            "without-3d": 89.60,
        },
        errata=(
            "Table 3's row Sa sums to 97; 93.43 must be 96.43 (27 of 28).",
            "Table 10's 92.46 and 97.61 are no shares of 327 sequences (302 are 92.35, 303 are 92.66; 319 are 97.55, 320 "
            "are 97.86).",
            "Section 4.6 says that TFEN is 0.74 % above Kuo et al. on CK+; by Table 2 it is 0.37 %.",
        ),
    ),
    "mmi": PublishedSet(
        title="MMI",
        accuracy=81.73,
        std=2.954,
        order=_SIX,
        confusion=(
            (93.94, 0, 0, 3.03, 3.03, 0),
            (3.13, 71.88, 0, 15.63, 6.25, 3.13),
            (7.14, 7.14, 42.86, 7.14, 3.57, 32.14),
            (0, 0, 0, 97.62, 0, 2.38),
            (21.88, 0, 2.5, 0, 78.13, 0),
            (0, 0, 4.88, 0, 2.44, 92.68),
        ),
        rivals=(
            ("Klaser et al.", "HOG 3D", 60.89),
            ("Jung et al.", "CNN-DNN", 70.24),
            ("Liu et al.", "STM-ExpLet", 75.12),
            ("Zhang et al.", "PHRNN-MSCNN", 81.18),
        ),
        ablations={
            "without-decoupler": 77.88,
            "without-adversarial": 75.00,
            "without-facial-decoupling": 79.33,
            "without-3d": 74.04,
        },
        errata=(
            "Table 5's row Su sums to 102.5, and its rows Su and Sa look exchanged (class sizes).",
            "Section 4.6 compares with Kuo et al. on MMI, whom Table 4 does not list.",
        ),
    ),
    "oulu-casia": PublishedSet(
        title="Oulu-CASIA",
        accuracy=91.67,
        std=1.495,
        order=_SIX,
        confusion=(
            (92.5, 2.5, 1.25, 1.25, 0, 2.5),
            (8.75, 85, 1.25, 1.25, 0, 3.75),
            (2.5, 1.25, 87.5, 5, 2.5, 1.25),
            (0, 1.25, 1.25, 97.5, 0, 0),
            (0, 0, 2.5, 0, 97.5, 0),
            (10, 0, 0, 0, 0, 90),
        ),
        rivals=(
            ("Klaser et al.", "HOG 3D", 70.63),
            ("Zhao et al.", "AdaLBP", 73.54),
            ("Jung et al.", "DNN", 74.17),
            ("Jung et al.", "CNN", 74.38),
            ("Guo et al.", "Atlases", 75.52),
            ("Jung et al.", "CNN-DNN", 81.46),
            ("Yu et al.", "DCPN", 86.23),
            ("Zhang et al.", "PHRNN-MSCNN", 86.25),
            ("Kuo et al.", "CNN", 91.67),
        ),
        ablations={
            "without-decoupler": 89.79,
            "without-adversarial": 88.46,
            "without-facial-decoupling": 89.58,
            "without-3d": 82.29,
        },
        distances={
            "without-facial-decoupling": Distances(
                between=(
                    (0.0, 15.92, 31.16, 36.68, 29.03, 53.31),
                    (15.92, 0.0, 19.19, 35.28, 20.26, 37.4),
                    (31.16, 19.19, 0.0, 24.84, 35.63, 31.33),
                    (36.68, 35.28, 24.84, 0.0, 55.41, 55.47),
                    (29.03, 20.26, 35.63, 55.41, 0.0, 36.71),
                    (53.31, 37.4, 31.33, 55.47, 36.71, 0.0),
                ),
                mean=(3.4, 3.14, 3.08, 3.31, 3.23, 2.66),
                variance=(7.77, 4.61, 4.86, 13.41, 6.97, 1.1),
            ),
            "tfen": Distances(
                between=(
                    (0.0, 18.08, 47.89, 49.0, 19.76, 53.15),
                    (18.08, 0.0, 43.52, 35.71, 26.26, 59.89),
                    (47.89, 43.52, 0.0, 25.32, 30.6, 33.17),
                    (49.0, 35.71, 25.32, 0.0, 40.27, 57.33),
                    (19.76, 26.26, 30.6, 40.27, 0.0, 34.48),
                    (53.15, 59.89, 33.17, 57.33, 34.48, 0.0),
                ),
                mean=(2.72, 2.66, 2.94, 2.5, 3.01, 2.54),
                variance=(2.8, 3.03, 14.43, 1.24, 8.17, 0.91),
            ),
        },
        distance_order=("anger", "disgust", "fear", "happiness", "sadness", "surprise"),
        errata=("Table 10's 88.46 is no share of 480 sequences (424 are 88.33, 425 are 88.54).",),
    ),
    "dfew": PublishedSet(
        title="DFEW",
        accuracy=56.60,
        uar=45.57,
        std=1.568,
        order=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        confusion=(
            (47.72, 0.88, 3.59, 7.46, 21.51, 10.73, 8.11),
            (11.41, 2.68, 6.04, 9.40, 40.27, 20.13, 10.07),
            (15.73, 0.55, 23.15, 4.65, 18.16, 16.39, 21.37),
            (4.74, 0.41, 1.06, 75.21, 10.43, 7.12, 1.02),
            (7.72, 0.79, 2.44, 4.87, 66.15, 11.21, 6.82),
            (5.55, 0.58, 2.85, 9.36, 20.67, 56.24, 4.76),
            (7.90, 0.75, 5.11, 2.59, 25.80, 10.01, 47.86),
        ),
        rivals=(
            ("Jiang et al.", "ResNet18+LSTM", 42.86, 53.08),
            ("Jiang et al.", "ResNet18+LSTM+EC-STFL", 43.60, 54.72),
            ("Jiang et al.", "3D ResNet18", 44.73, 54.98),
            ("Jiang et al.", "C3D+EC-STFL", 45.10, 55.50),
            ("Jiang et al.", "R3D18+EC-STFL", 45.05, 56.19),
            ("Jiang et al.", "I3D-RGB18+EC-STFL", 45.05, 56.19),
            ("Jiang et al.", "P3D+EC-STFL", 45.22, 56.48),
            ("Jiang et al.", "3D ResNet18+EC-STFL", 45.35, 56.51),
        ),
        ablations={},
        distances={
            "without-facial-decoupling": Distances(
                between=(
                    (0.0, 20.08, 20.18, 36.62, 31.6, 49.59, 24.46),
                    (20.08, 0.0, 37.72, 22.87, 19.29, 29.84, 30.36),
                    (20.18, 37.72, 0.0, 56.7, 41.22, 64.68, 20.56),
                    (36.62, 22.87, 56.7, 0.0, 39.18, 33.09, 53.04),
                    (31.6, 19.29, 41.22, 39.18, 0.0, 26.19, 24.36),
                    (49.59, 29.84, 64.68, 33.09, 26.19, 0.0, 50.26),
                    (24.46, 30.36, 20.56, 53.04, 24.36, 50.26, 0.0),
                ),
                mean=(7.96, 4.69, 6.25, 7.34, 9.05, 7.61, 7.19),
                variance=(24.44, 45.36, 63.26, 13.58, 38.49, 34.42, 38.09),
            ),
            "tfen": Distances(
                between=(
                    (0.0, 45.84, 28.19, 71.99, 54.75, 37.64, 39.25),
                    (45.84, 0.0, 20.87, 28.07, 22.3, 19.15, 37.21),
                    (28.19, 20.87, 0.0, 48.93, 26.85, 25.11, 22.05),
                    (71.99, 28.07, 48.93, 0.0, 40.32, 36.57, 63.34),
                    (54.75, 22.3, 26.85, 40.32, 0.0, 40.43, 26.99),
                    (37.64, 19.15, 25.11, 36.57, 40.43, 0.0, 46.92),
                    (39.25, 37.21, 22.05, 63.34, 26.99, 46.92, 0.0),
                ),
                mean=(5.69, 0.78, 4.02, 5.96, 6.82, 5.66, 5.02),
                variance=(10.17, 0.03, 14.93, 5.7, 16.42, 22.09, 23.31),
            ),
        },
        distance_order=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        errata=(
            "Table 8 gives I3D the figures of R3D18.",
            "Table 9's row Di fits 149 clips where the set has 145.",
        ),
    ),
}
