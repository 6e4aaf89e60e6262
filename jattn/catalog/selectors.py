"""The table of selectors, whose results are masks and have no gradient."""

import jattn
from jattn.catalog.row import Mechanism, case
from jattn.catalog.table import RAGGED

CAUSAL = jattn.masks.causal()
GAPS = jattn.masks.causal() & ~jattn.masks.blocks(4)

SELECTORS: tuple[Mechanism, ...] = (
    Mechanism(
        jattn.selectors.top_k,
        family="selector",
        paper="Gupta et al. 2021, arXiv:2106.06899",
        cost="t s log s",
        cases=(case(count=2), case(mask=RAGGED, count=2)),
    ),
    Mechanism(
        jattn.selectors.moba,
        family="selector",
        paper="Lu et al. 2025, arXiv:2502.13189",
        cost="t s k",
        cases=(
            case({"t": 11, "s": 11}, block_size=4, count=2),
            case(block_size=2, count=1, offset=2, mask=RAGGED),
        ),
    ),
    Mechanism(
        jattn.selectors.native_blocks,
        family="selector",
        paper="Yuan et al. 2025, arXiv:2502.11089, eq. 7 and 9",
        cost="(h t k + t s) s / d",
        cases=(
            case({"t": 17, "s": 19}, block_size=2, count=4, offset=2),
            case(
                {"t": 17, "s": 17},
                block_size=4,
                compressed_size=4,
                stride=2,
                count=3,
                local=1,
                mask=~jattn.masks.blocks(3),
            ),
        ),
        sizes={"h": 4},
    ),
    Mechanism(
        jattn.selectors.lsh,
        family="selector",
        paper="Kitaev et al. 2020, arXiv:2001.04451",
        cost="r s (k f + s)",
        cases=(case({"t": 13, "s": 13}), case({"t": 13, "s": 13}, mask=GAPS)),
        sizes={"r": 2, "f": 3},
    ),
    Mechanism(
        jattn.selectors.routing,
        family="selector",
        paper="Roy et al. 2021, arXiv:2003.05997",
        cost="c (t + s) k + c t s",
        cases=(case({"t": 11, "s": 13}), case({"t": 11, "s": 13}, count=4, mask=CAUSAL)),
        sizes={"c": 3, "k": 4},
    ),
)
