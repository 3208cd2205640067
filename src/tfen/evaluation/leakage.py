"""How much identity is left in F, E, TFE and T, and how much expression; always on subjects never seen in training.

Identity is asked for in four ways: linear and nearest-neighbour probes and a fresh adversary, each shown some
sequences of unseen people and asked who is in their other ones; and verification of pairs. Expression is asked for
with probes fitted on the training subjects. On a synthetic set the generator's own factors are regressed too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import r2_score, roc_auc_score, roc_curve
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.sampling import middle_frames
from tfen.device import DeviceName, device_named
from tfen.errors import InputError
from tfen.evaluation.drawing import BLUE, GREEN, GREY, ORANGE, inline, latex_table, render, save_figure
from tfen.evaluation.erasure import fit_eraser
from tfen.evaluation.features import Features, RunFold, extract, feature_maps, open_folds
from tfen.files import clear_errors, read_json, write_csv, write_json, write_text
from tfen.models.seresnet import UpperHalf
from tfen.progress import meter
from tfen.training.loop import Done, Loop, Place

Array = np.ndarray
PLACES = ("F", "E", "TFE", "LEACE", "T")
"""LEACE is what T sees, TFE or E, after the linear erasure of the subject that was fitted on the training people."""
RESAMPLES = 300
ADVERSARY_EPOCHS = 30
MEASURES = {
    "identity_linear": "who it is, linear probe",
    "identity_nearest": "who it is, nearest neighbour",
    "identity_adversary": "who it is, fresh adversary",
    "verification_auc": "same person? AUC",
    "verification_eer": "same person? equal error rate",
    "expression_linear": "expression, linear probe",
    "expression_nearest": "expression, nearest neighbours",
    "expression_auc": "same expression? AUC",
    "expression_eer": "same expression? equal error rate",
    "r2_phenotype": "R2 of sex, age, weight, ancestry",
    "r2_shape": "R2 of the head's local shape",
    "r2_action_units": "R2 of action units, by frame",
}
"""Measures in the order of the tables."""


@dataclass(frozen=True)
class Measured:
    """A measure of one place over the folds: mean, 95 % interval over subjects (None where there is none), chance."""

    place: str
    measure: str
    value: float
    low: float | None
    high: float | None
    chance: float | None


def measure_leakage(
    run: Path, out: Path, adversary: bool = True, set_folder: Path | None = None, device: DeviceName = "cpu"
) -> list[Measured]:
    """Measure all folds of a run and write `leakage.json`, CSV, LaTeX, picture and page into `out`.

    Args:
        adversary: also train a fresh adversary on each place's maps (the slowest measure).
        device: where networks run and the adversary learns.

    Raises:
        InputError: the run, its set or its weights are not there.
    """
    dataset, folds = open_folds(run, set_folder, device_named(device))
    per_fold: list[dict[tuple[str, str], _Scores]] = []
    with meter("leakage", len(folds), "folds") as progress:
        for fold in folds:
            per_fold.append(_measure_fold(dataset, fold, adversary))
            progress.advance()
    rows = []
    for measure in MEASURES:
        for place in PLACES:
            scores = [fold[place, measure] for fold in per_fold if (place, measure) in fold]
            if scores:
                rows.append(_pool(place, measure, scores))
    tested = sum(len(fold.testing) for fold in folds)
    accuracy = sum(fold.accuracy * len(fold.testing) for fold in folds) / tested
    _write(out, run, dataset, rows, len(folds), accuracy)
    return rows


@dataclass(frozen=True)
class _Scores:
    """A fold's value, its bootstrap values (may be empty) and its chance level."""

    value: float
    resampled: Array
    chance: float | None


def _pool(place: str, measure: str, scores: list[_Scores]) -> Measured:
    value = float(np.mean([one.value for one in scores]))
    chances = [one.chance for one in scores if one.chance is not None]
    low = high = None
    if all(len(one.resampled) for one in scores):
        means = np.nanmean([one.resampled for one in scores], 0)
        low, high = (float(x) for x in np.nanquantile(means, [0.025, 0.975]))
    return Measured(place, measure, value, low, high, float(np.mean(chances)) if chances else None)


def _measure_fold(dataset: PreparedSet, fold: RunFold, adversary: bool) -> dict[tuple[str, str], _Scores]:
    unseen, seen = _with_erased(extract(fold, fold.testing), extract(fold, fold.training))
    subjects = np.array([sequence.subject for sequence in unseen.sequences])
    expressions = np.array([sequence.expression for sequence in unseen.sequences])
    trained_on = np.array([sequence.expression for sequence in seen.sequences])
    rng = np.random.default_rng(fold.number)
    people = sorted(set(subjects))
    draws = [_weights(rng.integers(0, len(people), len(people)), people, subjects) for _ in range(RESAMPLES)]
    out: dict[tuple[str, str], _Scores] = {}
    halves = gallery_halves(unseen.sequences)
    for place in (name for name in PLACES if name in unseen.clips):
        x, x_seen = unseen.clips[place], seen.clips[place]
        hits: dict[str, Array] = {}
        chance = {"identity": 1 / len(people), "expression": 1 / len(dataset.expressions)}
        if halves is not None:
            hits["identity_linear"] = identity_hits(linear_probe, x, subjects, halves)
            hits["identity_nearest"] = identity_hits(nearest_probe, x, subjects, halves)
            if adversary and place in unseen.frames:
                hits["identity_adversary"] = _fresh_adversary(fold, place, unseen.sequences, halves)
        hits["expression_linear"] = linear_probe(x_seen, trained_on, x) == expressions
        hits["expression_nearest"] = nearest_probe(x_seen, trained_on, x) == expressions
        for measure, right in hits.items():
            resampled = np.array([np.average(right, weights=weight) for weight in draws])
            out[place, measure] = _Scores(float(right.mean()), resampled, chance[measure.split("_")[0]])
        likeness = cosine(x - x_seen.mean(0))
        first, second = np.triu_indices(len(x), 1)
        same_person, same_expression = subjects[first] == subjects[second], expressions[first] == expressions[second]
        for name, kept, same in (
            ("verification", ~same_expression, same_person),
            ("expression", ~same_person, same_expression),
        ):
            a, b = first[kept], second[kept]
            if not same[kept].any() or same[kept].all():
                continue
            pairs = likeness[a, b]
            value = roc_auc_score(same[kept], pairs)
            resampled = np.array([_weighted_auc(same[kept], pairs, weight[a] * weight[b]) for weight in draws[:100]])
            out[place, f"{name}_auc"] = _Scores(float(value), np.repeat(resampled, RESAMPLES // 100), 0.5)
            out[place, f"{name}_eer"] = _Scores(equal_error_rate(same[kept], pairs), np.zeros(0), 0.5)
    for (place, measure), value in _known_factors(dataset, fold, unseen, seen).items():
        out[place, measure] = _Scores(value, np.zeros(0), 0.0)
    return out


def _with_erased(unseen: Features, seen: Features) -> tuple[Features, Features]:
    """Return the features with those of LEACE, erased from what T sees; as they are where T sees frames."""
    place = next((name for name in ("TFE", "E") if name in seen.clips), None)
    if place is None:
        return unseen, seen
    erase = fit_eraser(seen.clips[place], np.array([sequence.subject for sequence in seen.sequences]))

    def both(own: Features) -> Features:
        return replace(own, clips={**own.clips, "LEACE": erase(own.clips[place])})

    return both(unseen), both(seen)


def _weights(drawn: Array, people: list[str], subjects: Array) -> Array:
    """How often each sequence's subject was drawn."""
    times = dict(zip(people, np.bincount(drawn, minlength=len(people))))
    return np.array([times[subject] for subject in subjects], float)


def _weighted_auc(same: Array, likeness: Array, weight: Array) -> float:
    if not weight[same].any() or not weight[~same].any():
        return float("nan")
    return float(roc_auc_score(same, likeness, sample_weight=weight))


def gallery_halves(sequences: list[SequenceRecord]) -> tuple[Array, Array] | None:
    """Divide sequences into two halves in which every subject has some; a subject's expressions take turns.

    So the other half shows a subject with other expressions, unless it has a single one: then its sequences take turns.

    Returns:
        two arrays of indices; each half serves as gallery for the other. None if there is a single subject, or one
        with a single sequence.
    """
    by_subject: dict[str, dict[str, list[int]]] = {}
    for k, sequence in enumerate(sequences):
        by_subject.setdefault(sequence.subject, {}).setdefault(sequence.expression, []).append(k)
    if len(by_subject) < 2:
        return None
    halves: tuple[list[int], list[int]] = ([], [])
    for own in by_subject.values():
        groups = list(own.values()) if len(own) > 1 else [[k] for k in next(iter(own.values()))]
        if len(groups) < 2:
            return None
        for turn, group in enumerate(groups):
            halves[turn % 2].extend(group)
    return np.array(halves[0]), np.array(halves[1])


def linear_probe(train: Array, labels: Array, test: Array) -> Array:
    """Return what logistic regression on standardised features (C = 1), fitted on `train`, says of `test`."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=500))
    return probe.fit(train, labels).predict(test)


def nearest_probe(train: Array, labels: Array, test: Array) -> Array:
    """Return the labels of the nearest `train` features by cosine, after centring: one neighbour."""
    mean = train.mean(0)
    return KNeighborsClassifier(1, metric="cosine").fit(train - mean, labels).predict(test - mean)


def identity_hits(
    probe: Callable[[Array, Array, Array], Array], x: Array, subjects: Array, halves: tuple[Array, Array]
) -> Array:
    """Return which sequences' subjects a probe gets right, each half being the gallery of the other."""
    right = np.zeros(len(x), bool)
    for gallery, asked in (halves, halves[::-1]):
        right[asked] = probe(x[gallery], subjects[gallery], x[asked]) == subjects[asked]
    return right


def cosine(x: Array) -> Array:
    """Return the cosine of every pair of rows, (n, n)."""
    unit = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12)
    return unit @ unit.T


def equal_error_rate(same: Array, likeness: Array) -> float:
    """Return the rate at which as many pairs are wrongly accepted as are wrongly rejected."""
    wrongly_accepted, accepted, _ = roc_curve(same, likeness, drop_intermediate=False)
    wrongly_rejected = 1 - accepted
    k = int(np.argmin(np.abs(wrongly_accepted - wrongly_rejected)))
    return float((wrongly_accepted[k] + wrongly_rejected[k]) / 2)


def _fresh_adversary(fold: RunFold, place: str, sequences: list[SequenceRecord], halves: tuple[Array, Array]) -> Array:
    """Train A anew, from random weights, on one place's maps of the gallery; say which other sequences it knows."""
    subjects = sorted({sequence.subject for sequence in sequences})
    right = np.zeros(len(sequences), bool)
    maps = _all_maps(fold, place, sequences)
    labels = torch.tensor([subjects.index(sequence.subject) for sequence in sequences], device=fold.device)
    for gallery, asked in (halves, halves[::-1]):
        torch.manual_seed(fold.number)
        adversary = UpperHalf(len(subjects), fold.settings.model.width).to(fold.device)
        _learn_faces(adversary, maps, labels, gallery)
        adversary.eval()
        with torch.no_grad():
            for k in asked:
                scores = adversary(maps[k]).softmax(1).mean(0)
                right[k] = int(scores.argmax()) == int(labels[k])
    return right


def _learn_faces(adversary: UpperHalf, maps_nSCHW: torch.Tensor, labels_n: torch.Tensor, gallery: Array) -> None:
    """Train a fresh adversary on the frames of some sequences."""
    optimiser = torch.optim.AdamW(adversary.parameters(), 2e-3, weight_decay=0.01)
    rows = torch.tensor([(k, s) for k in gallery for s in range(maps_nSCHW.shape[1])])
    steps = ADVERSARY_EPOCHS * -(-len(rows) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)

    def step(group: torch.Tensor, place: Place) -> Done:
        sequences, frames = group.T.to(maps_nSCHW.device)
        loss = torch.nn.functional.cross_entropy(adversary(maps_nSCHW[sequences, frames]), labels_n[sequences])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        return Done({"loss": loss.detach().double() * len(group)}, len(group), len(group))

    adversary.train()
    Loop(
        phase="probe",
        title="fresh adversary",
        unit="frames",
        epochs=ADVERSARY_EPOCHS,
        items=len(rows),
        batch_size=32,
        batches=lambda epoch, skip: rows[torch.randperm(len(rows))].split(32),
        step=step,
        quiet=True,
    ).run()


@torch.no_grad()
def _all_maps(fold: RunFold, place: str, sequences: list[SequenceRecord]) -> torch.Tensor:
    """Return one place's maps of all frames, standardised as a whole, (n, S, C, H, W)."""
    parts = []
    for batch in fold.clips(sequences).testing(fold.settings.train.batch_size):
        maps = feature_maps(fold.network, batch.clips.flatten(0, 1))[place]
        parts.append(maps.float().unflatten(0, batch.clips.shape[:2]))
    maps = torch.cat(parts)
    return (maps - maps.mean((0, 1, 3, 4), keepdim=True)) / (maps.std((0, 1, 3, 4), keepdim=True) + 1e-6)


def _known_factors(
    dataset: PreparedSet, fold: RunFold, unseen: Features, seen: Features
) -> dict[tuple[str, str], float]:
    """Regress the generator's own factors (synthetic sets only): ridge fitted on training subjects, R2 on unseen ones."""
    if not (dataset.folder / "truth").is_dir() or not (dataset.folder / "subjects").is_dir():
        return {}
    out: dict[tuple[str, str], float] = {}
    people = {}
    for name in {sequence.subject for sequence in (*unseen.sequences, *seen.sequences)}:
        people[name] = read_json(dataset.folder / "subjects" / f"{name}.json", "a synthetic subject")
    for place in (
        name for name in PLACES if name in unseen.clips and name != "LEACE"
    ):  # there all subjects' means are one
        for measure, group in (("r2_phenotype", "phenotype"), ("r2_shape", "changes")):
            names = sorted(next(iter(people.values()))[group])
            x_seen, y_seen = _by_subject(seen, place, people, group, names)
            x, y = _by_subject(unseen, place, people, group, names)
            if min(len(x_seen), len(x)) > 1:
                out[place, measure] = _ridge_r2(x_seen, y_seen, x, y, np.arange(len(x_seen)))
        if place in unseen.frames:
            length = fold.settings.model.frames
            out[place, "r2_action_units"] = _ridge_r2(
                seen.frames[place].reshape(-1, seen.frames[place].shape[2]),
                _action_units(dataset, seen.sequences, length),
                unseen.frames[place].reshape(-1, unseen.frames[place].shape[2]),
                _action_units(dataset, unseen.sequences, length),
                np.repeat([sequence.subject for sequence in seen.sequences], length),
            )
    return out


def _by_subject(
    features: Features, place: str, people: dict[str, Any], group: str, names: list[str]
) -> tuple[Array, Array]:
    subjects = np.array([sequence.subject for sequence in features.sequences])
    order = sorted(set(subjects))
    x = np.stack([features.clips[place][subjects == name].mean(0) for name in order])
    return x, np.array([[people[name][group][factor] for factor in names] for name in order])


def _action_units(dataset: PreparedSet, sequences: list[SequenceRecord], length: int) -> Array:
    rows, count = [], len(dataset.about.get("action_units", ()))
    for sequence in sequences:
        units = dataset.truth(sequence, "action_units", (count,))
        if units is None:
            raise InputError(f"{dataset.folder} does not know what {sequence.name} shows; make the set again")
        rows.append(units[middle_frames(sequence.frames, length)])
    return np.concatenate(rows)


def _ridge_r2(x_seen: Array, y_seen: Array, x: Array, y: Array, groups: Array) -> float:
    """Return R2 on (x, y), averaged over the factors, of a ridge regression fitted on (x_seen, y_seen).

    Its strength is chosen on held-out groups (subjects) of the latter.
    """
    varies = (y_seen.std(0) > 1e-6) & (y.std(0) > 1e-6)
    scaler = StandardScaler().fit(x_seen)
    splits = min(5, len(set(groups)))
    chosen = 1e4
    if splits > 1:
        folds = list(GroupKFold(splits).split(x_seen, groups=groups))
        search = RidgeCV(np.logspace(1, 7, 7), cv=folds).fit(scaler.transform(x_seen), y_seen[:, varies])
        chosen = float(search.alpha_)
    model = Ridge(chosen).fit(scaler.transform(x_seen), y_seen[:, varies])
    return float(r2_score(y[:, varies], model.predict(scaler.transform(x)), multioutput="uniform_average"))


def _write(out: Path, run: Path, dataset: PreparedSet, rows: list[Measured], folds: int, accuracy: float) -> None:
    with clear_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    plain = [vars(row) for row in rows]
    about = {"run": str(run), "set": dataset.name, "folds": folds, "accuracy": accuracy}
    write_json(out / "leakage.json", {**about, "measures": plain})
    write_csv(out / "leakage.csv", ("measure", "place", "value", "low", "high", "chance"), plain)
    table = []
    for measure, words in MEASURES.items():
        by_place = {row.place: row for row in rows if row.measure == measure}
        if by_place:
            chance = next(iter(by_place.values())).chance
            cells = [f"{by_place[place].value:.3f}" if place in by_place else "" for place in PLACES]
            table.append([words, *cells, "" if chance is None else f"{chance:.3f}"])
    columns = ["", *PLACES, "chance"]
    write_text(out / "leakage.tex", latex_table(columns, table))
    picture = save_figure(_picture(rows), out / "leakage.png")
    page = render(
        "leakage.html.j2",
        rows=rows,
        measures=MEASURES,
        places=PLACES,
        run=run,
        set=dataset.name,
        folds=folds,
        picture=inline(picture),
    )
    write_text(out / "index.html", page)


def _picture(rows: list[Measured]) -> Figure:
    shown = [
        ("identity_linear", "who it is:\nlinear probe"),
        ("identity_nearest", "who it is:\nnearest neighbour"),
        ("identity_adversary", "who it is:\nfresh adversary"),
        ("verification_auc", "same person?\nAUC"),
        ("expression_linear", "expression:\nlinear probe"),
        ("expression_auc", "same expression?\nAUC"),
    ]
    shown = [(measure, words) for measure, words in shown if any(row.measure == measure for row in rows)]
    colours = {"F": GREY, "E": ORANGE, "TFE": BLUE, "LEACE": "#9bbfd6", "T": GREEN}
    figure, axes = plt.subplots(figsize=(1.35 * len(shown) + 1.2, 3.0))
    for k, (measure, _) in enumerate(shown):
        for row in (row for row in rows if row.measure == measure):
            at = k + 0.17 * (PLACES.index(row.place) - 2)
            axes.bar(at, row.value, 0.15, color=colours[row.place], label=row.place if k == 0 else None)
            if row.low is not None and row.high is not None:
                axes.plot([at, at], [row.low, row.high], color="#333", lw=1)
            if row.chance is not None:
                axes.plot([at - 0.085, at + 0.085], [row.chance, row.chance], color="#111", lw=1, ls=":")
    axes.set_xticks(range(len(shown)), [words for _, words in shown], fontsize=8)
    axes.set(ylim=(0, 1.02), ylabel="share, or area under the curve")
    axes.set_title("Subjects never seen in training; lines: 95 % interval over subjects; dots: chance", fontsize=9)
    axes.legend(frameon=False, ncols=5, loc="upper right", bbox_to_anchor=(1, -0.18))
    return figure
