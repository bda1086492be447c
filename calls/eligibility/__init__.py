"""MAY this person be dialled, and if not, why?"""

from calls.eligibility.decide import Decision, Reason, Verdict, decide, decide_many, recheck, recheck_many
from calls.eligibility.do_not_call import OptOut, lift, opt_out
from calls.eligibility.hours import local_times

__all__ = [
    "Decision",
    "OptOut",
    "Reason",
    "Verdict",
    "decide",
    "decide_many",
    "lift",
    "local_times",
    "opt_out",
    "recheck",
    "recheck_many",
]
