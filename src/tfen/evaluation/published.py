"""What the paper reports (Teng et al., "Typical Facial Expression Network Using a Facial Feature Decoupler and
Spatial-Temporal Learning"), as it is printed; where the print is in error, the note says so."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSet:
    """The paper's figures for one data set; percent.

    `rivals`: (method, descriptor, accuracy) of Tables 2, 4 and 6; for DFEW (Table 8) (method, descriptor, UAR, WAR).
    `confusion`: Tables 3, 5, 7 and 9, rows and columns in `order`.
    """

    title: str
    accuracy: float
    std: float
    order: tuple[str, ...]
    confusion: tuple[tuple[float, ...], ...]
    rivals: tuple[tuple[str | float, ...], ...]
    ablations: dict[str, float]
    uar: float | None = None
    note: str = ""


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
        note="Table 3's row Sa sums to 97; 93.43 must be 96.43 (27 of 28).",
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
        note="Table 5's row Su sums to 102.5, and its rows Su and Sa look exchanged (class sizes).",
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
        note="Table 8 gives I3D the figures of R3D18; Table 9's row Di fits 149 clips where the set has 145.",
    ),
}
