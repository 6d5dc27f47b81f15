"""What NumPy computes with, how fast, and what would make it faster: ``python -m mytorch.doctor``.

    machine     processor, cores, versions, BLAS: what to state beside a measurement
    describe    the same in one line
    candidates  the settings of a BLAS that are worth a try on a machine
    measure     the rates of settings, in turns, each in a process of its own
    advise      the setting to use, from measured rates
    restart     starts a command again with what helps its own products

NumPy's BLAS chooses its kernels by the processor's model, and knows none that came after it: on a processor that can
do more it may run at a half or a fifth of its rate. It reads what to do from the environment when it is loaded, so
nothing here sets anything: it measures, and says what to type.
"""

from mytorch.doctor.advice import Advice, advise
from mytorch.doctor.facts import describe, machine
from mytorch.doctor.gemm import Case
from mytorch.doctor.process import restart
from mytorch.doctor.rates import Measurement, candidates, measure

__all__ = [
    "Advice",
    "Case",
    "Measurement",
    "advise",
    "candidates",
    "describe",
    "machine",
    "measure",
    "restart",
]
