"""Each module adds its scenarios to `case.SCENARIOS`; the order here is the order of play."""

# isort: off
from scenarios import smoke  # noqa: F401
from scenarios import propagation  # noqa: F401
from scenarios import failures  # noqa: F401
from scenarios import mass  # noqa: F401
from scenarios import steering  # noqa: F401
from scenarios import semantics  # noqa: F401
from scenarios import hostile  # noqa: F401
from scenarios import hostile_real  # noqa: F401
from scenarios import reverse  # noqa: F401
from scenarios import scale  # noqa: F401
from scenarios import apps  # noqa: F401
