"""How often 95 % intervals hold the truth, as a table: ``python tests/benchmarks/bench_coverage.py [studies]``."""

import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import studies

SEPARATIONS = (1.2, 2.5, 4.0)
PAIRS = ((2.0, 2.0), (2.0, 2.6))


def main(count: int) -> None:
    """Print tables of single systems and of pairs."""
    for what, separations in (("EER {:.1%}", SEPARATIONS), ("EER {:.1%} and {:.1%}", PAIRS)):
        print(f"\n{'one system' if separations is SEPARATIONS else 'paired differences'}: coverage in %")
        for separation in separations:
            pair = separation if isinstance(separation, tuple) else (separation,)
            rates = what.format(*(studies.truth(d)["eer"] for d in pair))
            for trials, kind in itertools.product(studies.GROUPS, studies.KINDS):
                start = time.perf_counter()
                found = studies.coverage(trials=trials, kind=kind, separation=separation, studies=count)
                cells = "  ".join(f"{name} {100 * share:.1f}" for name, share in found.items())
                print(f"{trials:5} {kind:16} {rates}: {cells}  ({time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
