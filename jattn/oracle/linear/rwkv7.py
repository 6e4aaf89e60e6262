"""The state of RWKV-7 in NumPy: the delta rule's oracle, with a = rate ∘ κ and b = κ."""

from jattn.oracle.linear.rule import delta_rule


def rwkv7(query, key, value, decay, removal, rate, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback): dκ = db + rate ∘ da, d(rate) = κ ∘ da."""
    sides = {"erase": removal * rate, "write": removal}
    result, back = delta_rule(
        query, key, value, decay=decay, **sides, initial=initial, length=length
    )

    def pullback(cotangents):
        *first, d_decay, d_erase, d_write = (grads := back(cotangents))[:6]
        return *first, d_decay, d_write + rate * d_erase, removal * d_erase, *grads[6:]

    return result, pullback
