"""MAY this person be dialled, and if not, why?"""

from calls.eligibility.decide import Decision, Reason, Verdict, decide, decide_many, recheck
from calls.eligibility.do_not_call import OptOut, lift, opt_out

__all__ = ["Decision", "OptOut", "Reason", "Verdict", "decide", "decide_many", "lift", "opt_out", "recheck"]
