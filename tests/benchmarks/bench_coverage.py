"""How often 95 % intervals hold the truth, as a table: ``python tests/benchmarks/bench_coverage.py [studies]``."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import studies

SEPARATIONS = (1.2, 2.5, 4.0)
PAIRS = ((2.0, 2.0), (2.0, 2.6))


def main(count: int) -> None:
    """Print a table for each method, of single systems and of pairs."""
    for what, separations in (("EER {:.1%}", SEPARATIONS), ("EER {:.1%} and {:.1%}", PAIRS)):
        for method in studies.uncertainty.METHODS:
            print(f"\n{method}, {'one system' if separations is SEPARATIONS else 'paired differences'}: coverage in %")
            for separation in separations:
                pair = separation if isinstance(separation, tuple) else (separation,)
                rates = what.format(*(studies.truth(d)["eer"] for d in pair))
                for trials in studies.GROUPS:
                    for kind in studies.KINDS:
                        start = time.perf_counter()
                        found = studies.coverage(
                            trials=trials, kind=kind, separation=separation, method=method, studies=count
                        )
                        cells = "  ".join(f"{name} {100 * share:.1f}" for name, share in found.items())
                        took = time.perf_counter() - start
                        print(f"{trials:5} {kind:16} {rates}: {cells}  ({took:.0f} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
