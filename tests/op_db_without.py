"""Operations of PyTorch's database that NumPy has nothing for: name, or name and variant, to the reason.

A test fails when an operation of the database is neither here nor in a table of `tests.op_db`.
"""

from __future__ import annotations

REASONS = {
    "it draws numbers at random": """
        bernoulli cauchy exponential geometric log_normal multinomial normal nn.functional.alpha_dropout
        nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d
        nn.functional.feature_alpha_dropout/with_train nn.functional.fractional_max_pool2d
        nn.functional.fractional_max_pool3d pca_lowrank rand_like randint randint_like randn randn_like svd_lowrank
        uniform
    """,
    "it makes an array of sizes and numbers alone, so that nothing of ours runs": """
        arange broadcast_shapes eye full linspace logspace ones scalar_tensor signal.windows.bartlett
        signal.windows.blackman signal.windows.cosine signal.windows.exponential signal.windows.gaussian
        signal.windows.general_cosine signal.windows.general_hamming signal.windows.hamming signal.windows.hann
        signal.windows.kaiser signal.windows.nuttall tril_indices triu_indices zeros
    """,
    "its result is memory that nothing was written to": """
        empty empty_like empty_permuted empty_strided new_empty new_empty_strided resize_ resize_as_
    """,
    "NumPy has no such special function": """
        digamma erf erfc erfinv igamma igammac lgamma mvlgamma polygamma special.airy_ai special.bessel_j0
        special.bessel_j1 special.bessel_y0 special.bessel_y1 special.erfcx special.i1 special.i1e
        special.log_ndtr special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1
        special.ndtr special.ndtri special.polygamma special.scaled_modified_bessel_k0
        special.scaled_modified_bessel_k1 special.zeta
    """,
    "NumPy evaluates polynomials of one degree, not of a degree for each entry": """
        special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v
        special.chebyshev_polynomial_w special.hermite_polynomial_h special.hermite_polynomial_he
        special.laguerre_polynomial_l special.legendre_polynomial_p special.shifted_chebyshev_polynomial_t
        special.shifted_chebyshev_polynomial_u special.shifted_chebyshev_polynomial_v
        special.shifted_chebyshev_polynomial_w
    """,
    "NumPy has no such decomposition, or function of matrices": """
        linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve linalg.lu linalg.lu_factor linalg.lu_factor_ex lu
        matrix_exp
    """,
    "NumPy has nothing that gives reflections back as LAPACK stores them, with derivatives": """
        geqrf
    """,
    "it steps to a neighbouring float, which no derivative describes: Tensors refuse it": "nextafter",
    "a sparse array, which NumPy has none of": "sparse.sampled_addmm sparse.mm/reduce to_sparse",
    "a dtype that NumPy does not have": "bfloat16 chalf",
    "compiled for a graphics card while it runs": """
        jiterator_2inputs_2outputs jiterator_4inputs_with_extra_args jiterator_binary
        jiterator_binary_return_by_ref jiterator_unary
    """,
    "a part of PyTorch's own implementation of operations that are here": """
        _batch_norm_with_update _chunk_cat _native_batch_norm_legit _segment_reduce _softmax_backward_data
        _unsafe_masked_index _unsafe_masked_index_put_accumulate _upsample_bilinear2d_aa grid_sampler_2d
        grid_sampler_3d hash_tensor max_pool2d_with_indices_backward native_batch_norm native_dropout_backward
        native_group_norm native_layer_norm nn.functional.batch_norm/without_cudnn nonzero_static
        torch._scaled_mm torch._scaled_mm_v2 torch.ops.aten._efficient_attention_forward
        torch.ops.aten._flash_attention_forward torch.ops.aten._safe_softmax.default
    """,
    "a program of its own, not an operation on arrays": """
        istft nn.functional.ctc_loss nn.functional.embedding_bag nn.functional.grid_sample
        nn.functional.linear_cross_entropy nn.functional.multi_head_attention_forward stft
    """,
    "NumPy does not tell which value is met most often": "mode",
}
WITHOUT = {name: reason for reason, names in REASONS.items() for name in names.split()}
