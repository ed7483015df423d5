// Scores of edges, part of kernels_impl.h: compiled once for each instruction set.

// N vectors of hidden numbers, and what they add to the logit.
template <size_t... I>
LARTPC_INLINE float edge_hidden(const EdgeProblem& problem, const float* input, const float* one, const float* other,
                                int64_t first, std::index_sequence<I...>) {
  using V = Simd<float>::V;
  constexpr int64_t W = Simd<float>::W;
  V sum[sizeof...(I)];
  ((sum[I] = load<V>(problem.bias + first + I * W) + load<V>(one + first + I * W) + load<V>(other + first + I * W)), ...);
  const float* weights = problem.weights + first;
  for (int64_t k = 0; k < problem.width + problem.dim; ++k, weights += problem.hidden)
    ((sum[I] += input[k] * load<V>(weights + I * W)), ...);
  V total{};
  ((total += (sum[I] > 0.0f ? sum[I] : V{}) * load<V>(problem.out + first + I * W)), ...);
  float lanes[W];
  store(lanes, total);
  for (int64_t half = W / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

void score_edges(const EdgeProblem& problem, float* input, float* scores) {
  constexpr int64_t W = Simd<float>::W, PANEL = EDGE_COLUMNS / W < 4 ? EDGE_COLUMNS / W : 4;
  const int64_t width = problem.width, dim = problem.dim, hidden = problem.hidden;
  for (int64_t e = 0; e < problem.num_pairs; ++e) {
    const int64_t i = problem.pairs[2 * e], j = problem.pairs[2 * e + 1];
    const float *f = problem.features + i * width, *g = problem.features + j * width;
    for (int64_t k = 0; k < width; ++k) input[k] = fabsf(f[k] - g[k]);
    for (int64_t axis = 0; axis < dim; ++axis)
      input[width + axis] =
          fabsf(static_cast<float>(int64_t{problem.coords[i * dim + axis]} - problem.coords[j * dim + axis]));
    float logit = problem.out_bias;
    for (int64_t first = 0; first < hidden; first += PANEL * W)
      logit += edge_hidden(problem, input, problem.sums + i * hidden, problem.sums + j * hidden, first,
                           std::make_index_sequence<PANEL>{});
    scores[e] = 1.0f / (1.0f + expf(-logit));
  }
}
