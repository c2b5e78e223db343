"""From a comparison's results to its report page."""

from collections import Counter
from collections.abc import Iterator, Sequence

from thalgpu import __version__
from thalgpu.engine.comparison.blocks import CLOSE
from thalgpu.engine.comparison.finish import PartResult
from thalgpu.engine.comparison.verification import N_VERIFIED
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.sidecars import software_versions
from thalgpu.engine.pipelines.compare_prepare import ComparePrepared, Embedded
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.compare_tables import ComparisonResult, deciding_name, peaks_of, summary_rows
from thalgpu.engine.pipelines.page import TITLES
from thalgpu.engine.pipelines.permute_outputs import corrected_name
from thalgpu.engine.pipelines.permute_page import peak_cells
from thalgpu.engine.report.compare import render_compare
from thalgpu.engine.report.compare_limits import exceeded
from thalgpu.engine.report.compare_page import ComparePage, ComparisonPage, ComponentPage, EmbeddingPage, NumberPage
from thalgpu.engine.report.permute_page import MaximumTest


def write_report(
    request: CompareRequest, prepared: ComparePrepared, found: Sequence[ComparisonResult]
) -> tuple[str, ...]:
    """`report.html` of this comparison; returns what it says of errors that are larger than was asked for."""
    study, sizes = prepared.embeddings[0].study, Counter(prepared.groups.labels)
    page = ComparePage(
        version=__version__,
        options=study.options,
        recipe=study.recipe,
        n_align=study.n_align,
        eig_tol=study.eig_tol,
        closeness=CLOSE,
        groups=tuple(sorted(sizes.items())),
        covariates=prepared.groups.covariate_names,
        blocks=request.blocks,
        embeddings=tuple(_embedding(embedded) for embedded in prepared.embeddings),
        comparisons=tuple(_comparison(one) for one in found),
        facts=(
            ("gradients", str(request.gradients)),
            ("groups", f"column {request.group} of {request.design}"),
            ("versions", ", ".join(f"{name} {version}" for name, version in software_versions().items())),
        ),
        remarks=prepared.warnings,
    )
    write_text(request.out / "report.html", render_compare(page))
    return tuple(exceeded(page))


def _embedding(embedded: Embedded) -> EmbeddingPage:
    choice = embedded.choice
    return EmbeddingPage(
        place=_place(embedded),
        n_voxels=len(embedded.region.flat),
        path=choice.path,
        rank=choice.rank,
        why=choice.words,
    )


def _comparison(one: ComparisonResult) -> ComparisonPage:
    comparison, path = one.comparison, one.embedded.study.path
    permutations = comparison.permutations
    sizes = Counter(comparison.codes.tolist())
    is_reduced = path == "reduced"
    peak_columns, peaks = peak_cells([row for part in one.maps for row in peaks_of(one, part)])
    return ComparisonPage(
        name=comparison.name,
        place=_place(one.embedded) if one.embedded.hemisphere else "",
        groups=tuple((name, sizes[code]) for code, name in enumerate(comparison.groups)),
        components=tuple(_components(one)),
        numbers=tuple(
            NumberPage(
                part.part.name, part.maps["stat"], part.maps["p"], part.maps["p_fwe"], errors if is_reduced else None
            )
            for part, errors in zip(one.numbers, one.verified.numbers, strict=True)
        ),
        angles=one.angles,
        region=one.embedded.region,
        n_perm=permutations.n_perm,
        exhaustive=permutations.source == "exhaustive",
        permutations=permutations.description,
        path=path,
        n_exact=one.blocks.n_exact if is_reduced else permutations.n_perm,
        n_verified=min(N_VERIFIED, permutations.n_perm) if is_reduced else 0,
        peak_columns=peak_columns,
        peaks=peaks,
    )


def _components(one: ComparisonResult) -> Iterator[ComponentPage]:
    exhaustive = one.comparison.permutations.source == "exhaustive"
    is_reduced = one.embedded.study.path == "reduced"
    for number, (part, row) in enumerate(zip(one.maps, summary_rows(one), strict=True), start=1):
        interval = None if exhaustive else (row["p_low"], row["p_high"])
        yield ComponentPage(
            number=number,
            tests=tuple(_tests(part, interval)),
            p=part.maps["p"],
            null_sd=row["null_sd"],
            estimated=row["error_estimated"],
            verified=row["error_verified"] if is_reduced else None,
            close=row["close_eigenvalues"],
        )


def _tests(part: PartResult, interval: tuple[float, float] | None) -> Iterator[MaximumTest]:
    """The difference first, then TFCE; only what decides has an interval."""
    for measure, null in part.null.items():
        name = corrected_name(measure)
        joint = part.maps[name.replace("p_fwe", "p_fwe_joint")]
        decides = name == deciding_name(part)
        yield MaximumTest(measure, part.maps[measure], part.maps[name], null, interval if decides else None, joint)


def _place(embedded: Embedded) -> str:
    return TITLES[embedded.hemisphere or None]
