"""Both places of a block's norm in NumPy, each with its gradient derived by hand.

`norm(rows)` returns (rows, pullback) with pullback(d_rows) = (d_params, d_rows), and
`sublayer(rows)` returns ((rows, found), pullback) with pullback((d_rows, d_found)) = (d_rows, d).
"""


def pre_norm(norm, sublayer, inputs):
    """y = x + f(n(x)), so dx = dy + the norm's pullback of f's pullback of dy.

    The pullback of (dy, dfound) returns dx, the gradient of the norm's parameters and f's rest.
    """
    normal, norm_pullback = norm(inputs)
    (outputs, found), pullback_of_layer = sublayer(normal)

    def pullback(cotangent):
        d_outputs, d_found = cotangent
        d_normal, d_rest = pullback_of_layer((d_outputs, d_found))
        d_norm, d_inputs = norm_pullback(d_normal)
        return d_outputs + d_inputs, d_norm, d_rest

    return (inputs + outputs, found), pullback


def post_norm(norm, sublayer, inputs):
    """y = n(x + f(x)): with dz the norm's pullback of dy, dx = dz + f's pullback of dz."""
    (added, found), pullback_of_layer = sublayer(inputs)
    outputs, norm_pullback = norm(inputs + added)

    def pullback(cotangent):
        d_outputs, d_found = cotangent
        d_norm, d_sum = norm_pullback(d_outputs)
        d_inputs, d_rest = pullback_of_layer((d_sum, d_found))
        return d_sum + d_inputs, d_norm, d_rest

    return (outputs, found), pullback
