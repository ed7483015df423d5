// The library of the CPU engine against brute force, to be run under sanitizers: every buffer is as small as it may be.
#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "api.h"
#include "brute_force.h"
#include "kernel_checks.h"
#include "maps.h"

namespace {

LartpcIndex* index_of(const Voxels& voxels) {
  const int32_t* coords = voxels.coords.empty() ? nullptr : voxels.coords[0].data();
  return lartpc_index_create(coords, voxels.offsets.data(), voxels.size(), 3, voxels.events());
}

Voxels exported(const LartpcIndex* index, int64_t events) {
  Voxels voxels;
  voxels.coords.resize(lartpc_index_size(index));
  voxels.offsets.resize(events + 1);
  lartpc_index_export(index, voxels.coords.empty() ? nullptr : voxels.coords[0].data(), voxels.offsets.data());
  return voxels;
}

std::vector<Pair> pairs_of(const LartpcMap* map, int slots) {
  std::vector<int64_t> counts(slots);
  const int64_t total = lartpc_map_count(map, counts.data());
  std::vector<int64_t> in(total), out(total);
  lartpc_map_export(map, in.data(), out.data());
  std::vector<Pair> pairs;
  int64_t pair = 0;
  for (int slot = 0; slot < slots; ++slot) {
    for (int64_t n = 0; n < counts[slot]; ++n, ++pair) pairs.push_back({in[pair], out[pair], slot});
  }
  return pairs;
}

bool same_pairs(std::vector<Pair> one, std::vector<Pair> other) {
  std::sort(one.begin(), one.end());
  std::sort(other.begin(), other.end());
  return one == other;
}

void check_coarse(const Voxels& fine, const Voxels& coarse, const Coord& step) {
  std::map<Place, bool> expected;
  for (int64_t row = 0; row < fine.size(); ++row) {
    const Coord& c = fine.coords[row];
    expected[{fine.event(row), floor_divide(c[0], step[0]), floor_divide(c[1], step[1]), floor_divide(c[2], step[2])}] =
        true;
  }
  CHECK(static_cast<int64_t>(expected.size()) == coarse.size());
  int64_t row = 0;
  for (const auto& [place, unused] : expected) {
    CHECK(coarse.event(row) == place[0]);
    CHECK((coarse.coords[row] == Coord{place[1], place[2], place[3]}));
    ++row;
  }
}

std::vector<Pair> swapped(std::vector<Pair> pairs) {
  for (Pair& pair : pairs) std::swap(pair.in, pair.out);
  return pairs;
}

// All maps of a batch, and every kernel on each of them.
void check_batch(const std::vector<int>& counts, int32_t side, int threads) {
  const Voxels fine = random_voxels(random_source, counts, side);
  LartpcIndex* index = index_of(fine);
  CHECK(index);
  int64_t first = -1;
  CHECK(lartpc_index_duplicates(index, &first) == 0);
  const Coord three{3, 3, 3}, two{2, 2, 2}, one{1, 1, 1};
  LartpcIndex* coarse_index = lartpc_index_coarsen(index, two.data());
  const Voxels coarse = exported(coarse_index, fine.events());
  check_coarse(fine, coarse, two);
  CHECK(exported(index, fine.events()).coords == fine.coords);

  LartpcMap* same = lartpc_map_submanifold(index, three.data(), threads);
  LartpcMap* down = lartpc_map_strided(index, coarse_index, two.data(), two.data(), threads);
  LartpcMap* wide = lartpc_map_strided(index, coarse_index, three.data(), two.data(), threads);
  LartpcMap* up = lartpc_map_transpose(down);
  LartpcMap* back = lartpc_map_transpose(wide);
  const auto same_listed = brute_force_pairs(fine, fine, three, one), down_listed = brute_force_pairs(fine, coarse, two, two),
             wide_listed = brute_force_pairs(fine, coarse, three, two);
  CHECK(same_pairs(pairs_of(same, 27), same_listed));
  CHECK(same_pairs(pairs_of(down, 8), down_listed));
  CHECK(same_pairs(pairs_of(wide, 27), wide_listed));
  CHECK(same_pairs(pairs_of(up, 8), swapped(down_listed)));
  CHECK(same_pairs(pairs_of(back, 27), swapped(wide_listed)));

  std::vector<int64_t> in, out, starts{0};
  for (int slot = 0; slot < 27; ++slot) {
    for (const Pair& pair : wide_listed) {
      if (pair.slot == slot) in.push_back(pair.in), out.push_back(pair.out);
    }
    starts.push_back(static_cast<int64_t>(in.size()));
  }
  LartpcMap* listed = lartpc_map_from_pairs(in.data(), out.data(), starts.data(), 27, fine.size(), coarse.size());
  CHECK(same_pairs(pairs_of(listed, 27), wide_listed));

  const int64_t n = fine.size(), m = coarse.size();
  for (const auto& [cin, cout] : {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {7, 33}, {33, 16}, {5, 70}, {26, 2}}) {
    const Summand onto_itself{same, same_listed, 27, n, cin, false}, from_fine{down, down_listed, 8, n, cin, false},
        to_fine{up, swapped(down_listed), 8, m, cin, false}, to_fine_again{back, swapped(wide_listed), 27, m, cin, false},
        by_list{listed, wide_listed, 27, n, cin, false};
    Summand mirrored = onto_itself, itself{nullptr, {}, 1, n, 2 * cin + 1, false}, nothing{nullptr, {}, 1, n, 0, false};
    mirrored.reversed = true;
    for (int64_t row = 0; row < n; ++row) itself.pairs.push_back({row, row, 0});
    const auto convolutions = [&](auto format) {
      using T = decltype(format);
      check_convolution<T>({onto_itself}, n, cout, false, threads);
      check_convolution<T>({mirrored, itself, nothing}, n, cout, true, threads);
      check_convolution<T>({nothing, to_fine}, n, cout, false, threads);
      check_convolution<T>({to_fine_again, itself}, n, cout, true, threads);
      check_convolution<T>({from_fine}, m, cout, false, threads);
      check_convolution<T>({by_list}, m, cout, true, threads);
    };
    convolutions(float{});
    convolutions(double{});
    convolutions(uint16_t{});
    check_weight_gradient<float>(itself, n, cout, threads);
    check_weight_gradient<uint16_t>(itself, n, cout, threads);
    for (const Summand* s : {&onto_itself, &to_fine}) check_weight_gradient<float>(*s, n, cout, threads);
    for (const Summand* s : {&from_fine, &by_list}) check_weight_gradient<double>(*s, m, cout, threads);
    for (const Summand* s : {&from_fine, &by_list}) check_weight_gradient<uint16_t>(*s, m, cout, threads);
    check_transpose<float>(3, cin, cout, threads);
    check_transpose<double>(2, cin, cout, threads);
    check_transpose<uint16_t>(3, cin, cout, threads);
  }
  for (LartpcMap* map : {same, down, wide, up, back, listed}) lartpc_map_free(map);
  lartpc_index_free(coarse_index);
  lartpc_index_free(index);
}

// Every row is in one block, blocks are not too large, and those of a full batch are as large as they may be.
void check_block_cut() {
  for (int64_t n = 0; n < 30000; ++n) {
    const lartpc::BlockCut cut(n);
    CHECK(cut.rows >= 1 && cut.rows <= lartpc::MOST_BLOCK_ROWS);
    CHECK(cut.blocks * cut.rows >= n && (n == 0 ? cut.blocks == 0 : (cut.blocks - 1) * cut.rows < n));
    CHECK(cut.blocks <= 1 || cut.blocks % 2 == 0);
  }
  CHECK(lartpc::BlockCut(12 * lartpc::MOST_BLOCK_ROWS).rows == lartpc::MOST_BLOCK_ROWS);
}

void check_full_blocks(int threads) {
  const int64_t n = 12 * lartpc::MOST_BLOCK_ROWS;
  Summand itself{nullptr, {}, 1, n, 3, false};
  for (int64_t row = 0; row < n; ++row) itself.pairs.push_back({row, row, 0});
  check_convolution<float>({itself}, n, 18, true, threads);
  check_weight_gradient<float>(itself, n, 18, threads);
  check_weight_gradient<uint16_t>(itself, n, 18, threads);
}

void check_wide_weights(int threads) {
  const Voxels voxels = random_voxels(random_source, {40}, 5);
  LartpcIndex* index = index_of(voxels);
  const Coord three{3, 3, 3};
  LartpcMap* map = lartpc_map_submanifold(index, three.data(), threads);
  const auto pairs = brute_force_pairs(voxels, voxels, three, {1, 1, 1});
  const Summand s{map, pairs, 27, voxels.size(), 261, false};  // more than a weight panel holds
  check_convolution<float>({s}, voxels.size(), 150, true, threads);
  check_convolution<double>({s}, voxels.size(), 37, true, threads);
  check_convolution<uint16_t>({s}, voxels.size(), 150, true, threads);
  check_weight_gradient<float>(s, voxels.size(), 101, threads);
  check_weight_gradient<uint16_t>(s, voxels.size(), 101, threads);
  lartpc_map_free(map);
  lartpc_index_free(index);
}

void check_refusals() {
  const int64_t starts[] = {0, 1}, offsets[] = {0, 3};
  for (const auto& [in, out] : {std::pair<int64_t, int64_t>{-1, 0}, {2, 0}, {0, 3}, {0, -1}}) {
    CHECK(!lartpc_map_from_pairs(&in, &out, starts, 1, 2, 3));
    CHECK(std::strstr(lartpc_last_error(), "a row that does not exist"));
  }
  const int32_t coords[] = {0, 0, 0, 1 << 15, 0, 0, 1, 1, 1}, same[] = {1, 2, 3, 4, 5, 6, 1, 2, 3};
  CHECK(!lartpc_index_create(coords, offsets, 3, 3, 1));
  CHECK(!lartpc_index_create(same, offsets, 3, 5, 1));
  LartpcIndex* index = lartpc_index_create(same, offsets, 3, 3, 1);
  int64_t first = -1;
  CHECK(lartpc_index_duplicates(index, &first) == 1);
  CHECK(first == 0);
  lartpc_index_free(index);
  CHECK(lartpc_convolve(9, nullptr, 0, 0, 0, nullptr, nullptr, 0, nullptr, 0, 1) == -1);
  CHECK(lartpc_convolve(0, nullptr, 0, 0, 0, nullptr, nullptr, 0, nullptr, 0, 1) == -1);
  CHECK(lartpc_select_isa("sse9") == -1);
}

// Two threads that hand work to the pool at the same time.
void check_two_callers() {
  const Voxels voxels = random_voxels(random_source, {1500}, 20);
  LartpcIndex* index = index_of(voxels);
  const Coord three{3, 3, 3};
  const auto caller = [&] {
    for (int round = 0; round < 20; ++round) {
      LartpcMap* map = lartpc_map_submanifold(index, three.data(), 3);
      const std::vector<float> x(voxels.size() * 4, 1), w(27 * 4 * 8, 1);
      std::vector<float> y(voxels.size() * 8);
      const LartpcTerm term{x.data(), 4, 4, w.data(), 32, 8, map, 0};
      const LartpcOutput output{y.data(), 8, nullptr, nullptr, LARTPC_IDENTITY, 0};
      CHECK(lartpc_convolve(LARTPC_FLOAT32, &term, 1, voxels.size(), 8, nullptr, nullptr, 0, &output, 1, 3) == 0);
      std::vector<int64_t> counts(27);
      const int64_t pairs = lartpc_map_count(map, counts.data());
      double sum = 0;
      for (float value : y) sum += value;
      CHECK(sum == 8.0 * 4.0 * static_cast<double>(pairs));
      lartpc_map_free(map);
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  lartpc_index_free(index);
}

// Statistics, values and gradients of a normalisation against sums in double, row by row.
template <class T>
void check_norm(int64_t n, int64_t channels, double slope, int threads) {
  using F = Format<T>;
  const bool with_added = n % 2 == 0;
  const int64_t added_stride = channels + 3;
  const auto x = random_numbers<T>(random_source, n * channels), grad = random_numbers<T>(random_source, n * channels);
  const auto added = random_numbers<T>(random_source, (n - 1) * added_stride + channels);
  std::vector<T> y(n * channels), dx(n * channels);
  std::vector<double> mean(channels), variance(channels), scale(channels), shift(channels), rstd(channels);
  std::vector<double> by_weight(channels), by_bias(channels);
  CHECK(lartpc_norm_moments(F::dtype, x.data(), channels, n, channels, mean.data(), variance.data(), threads) == 0);
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, square = 0;
    for (int64_t r = 0; r < n; ++r) sum += read(x[r * channels + c]);
    for (int64_t r = 0; r < n; ++r) square += std::pow(read(x[r * channels + c]) - sum / n, 2);
    CHECK(std::abs(mean[c] - sum / n) < 1e-5);
    CHECK(std::abs(variance[c] - square / n) < 1e-4);
    rstd[c] = 1 / std::sqrt(variance[c] + 0.5);  // a single row has no variance
    scale[c] = (0.5 + 0.1 * static_cast<double>(c)) * rstd[c];
    shift[c] = 0.3 - mean[c] * scale[c];
  }
  CHECK(lartpc_norm_apply(F::dtype, x.data(), channels, n, channels, scale.data(), shift.data(), slope, y.data(),
                          threads) == 0);
  CHECK(lartpc_norm_gradient(F::dtype, x.data(), channels, grad.data(), channels, with_added ? added.data() : nullptr,
                             added_stride, n, channels, scale.data(), shift.data(), mean.data(), rstd.data(), slope,
                             dx.data(), by_weight.data(), by_bias.data(), threads) == 0);
  for (int64_t c = 0; c < channels; ++c) {
    double by_weight_here = 0, by_bias_here = 0;
    const auto at = [&](int64_t r) { return r * channels + c; };
    const auto pre = [&](int64_t r) { return read(x[at(r)]) * scale[c] + shift[c]; };
    const auto through = [&](int64_t r) { return read(grad[at(r)]) * (read(y[at(r)]) > 0 ? 1 : slope); };
    const auto hat = [&](int64_t r) { return (read(x[at(r)]) - mean[c]) * rstd[c]; };
    for (int64_t r = 0; r < n; ++r) {
      const double expected = pre(r) < 0 ? slope * pre(r) : pre(r);
      CHECK(std::abs(read(y[at(r)]) - expected) < 1e-5 + F::result * std::abs(expected));
      by_bias_here += through(r);
      by_weight_here += through(r) * hat(r);
    }
    CHECK(std::abs(by_bias[c] - by_bias_here) < 1e-3);
    CHECK(std::abs(by_weight[c] - by_weight_here) < 1e-3);
    for (int64_t r = 0; r < n; ++r) {
      const double from_another = with_added ? read(added[r * added_stride + c]) : 0;
      const double expected = scale[c] * (through(r) - by_bias_here / n - hat(r) * by_weight_here / n) + from_another;
      CHECK(std::abs(read(dx[at(r)]) - expected) < 1e-4 + F::result * std::abs(expected));
    }
  }
}

void check_near_other_class(int64_t n, int dim, double distance, bool box) {
  std::uniform_int_distribution<int32_t> place(-6, 6), label(-1, 2);
  std::vector<int32_t> coords(n * dim);
  std::vector<int64_t> labels(n);
  std::vector<uint8_t> near(n);
  for (int32_t& c : coords) c = place(random_source);
  for (int64_t& l : labels) l = label(random_source);
  CHECK(lartpc_near_other_class(coords.data(), labels.data(), n, dim, distance, box, near.data()) == 0);
  for (int64_t i = 0; i < n; ++i) {
    bool expected = false;
    for (int64_t j = 0; j < n; ++j) {
      double longest = 0, square = 0;
      for (int axis = 0; axis < dim; ++axis) {
        const double step = std::abs(coords[i * dim + axis] - coords[j * dim + axis]);
        longest = std::max(longest, step);
        square += step * step;
      }
      const bool close = box ? longest <= distance : square <= distance * distance;
      expected |= close && labels[i] >= 0 && labels[j] >= 0 && labels[i] != labels[j];
    }
    CHECK((near[i] != 0) == expected);
  }
}

void check_graph(int64_t n, int dim, int32_t reach) {
  std::uniform_int_distribution<int32_t> place(-4, 4), label(-1, 1);
  std::uniform_real_distribution<float> score(0, 1);
  std::vector<int32_t> coords(n * dim);
  std::vector<int64_t> labels(n);
  for (int32_t& c : coords) c = place(random_source);
  for (int64_t& l : labels) l = label(random_source);
  std::vector<std::pair<int64_t, int64_t>> expected;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i + 1; j < n; ++j) {
      int32_t longest = 0;
      for (int axis = 0; axis < dim; ++axis)
        longest = std::max(longest, std::abs(coords[i * dim + axis] - coords[j * dim + axis]));
      if (labels[i] >= 0 && labels[i] == labels[j] && longest <= reach) expected.emplace_back(i, j);
    }
  }
  const auto number = static_cast<int64_t>(expected.size());
  std::vector<int64_t> pairs(2 * number), cluster(n);
  CHECK(lartpc_near_pairs(coords.data(), labels.data(), n, dim, reach, uint64_t{0}, number, pairs.data()) == number);
  std::vector<std::pair<int64_t, int64_t>> found;
  for (int64_t e = 0; e < number; ++e) found.emplace_back(std::minmax(pairs[2 * e], pairs[2 * e + 1]));
  std::sort(found.begin(), found.end());
  CHECK(found == expected);
  std::vector<float> scores(number);
  for (float& s : scores) s = score(random_source);
  const int64_t count =
      lartpc_agglomerate(pairs.data(), scores.data(), number, n, 0.4, 0.9, cluster.data());
  CHECK(count >= 0 && count <= n);
  for (int64_t e = 0; e < number; ++e)
    CHECK(scores[e] < 0.9f || cluster[pairs[2 * e]] == cluster[pairs[2 * e + 1]]);
  if (number) {
    pairs[0] = n;
    CHECK(lartpc_agglomerate(pairs.data(), scores.data(), number, n, 0.4, 0.9, cluster.data()) == -1);
  }
}

void check_voxel_coords(int64_t n, std::vector<int64_t> size, bool first_axis_first) {
  const auto dim = static_cast<int>(size.size());
  uint64_t total = 1;
  for (const int64_t voxels : size) total *= static_cast<uint64_t>(voxels);
  std::uniform_int_distribution<uint64_t> any(0, total - 1);
  std::vector<uint64_t> ids(n);
  for (uint64_t& id : ids) id = any(random_source);
  ids[0] = total - 1;
  std::vector<int32_t> coords(n * dim);
  CHECK(lartpc_voxel_coords(ids.data(), n, size.data(), dim, first_axis_first, coords.data()) == n);
  for (int64_t i = 0; i < n; ++i) {
    uint64_t id = 0;
    for (int k = dim - 1; k >= 0; --k) {  // from the axis that is counted last
      const int axis = first_axis_first ? k : dim - 1 - k;
      CHECK(coords[i * dim + axis] >= 0 && coords[i * dim + axis] < size[axis]);
      id = id * static_cast<uint64_t>(size[axis]) + static_cast<uint64_t>(coords[i * dim + axis]);
    }
    CHECK(id == ids[i]);
  }
  ids[n - 1] = total;
  CHECK(lartpc_voxel_coords(ids.data(), n, size.data(), dim, first_axis_first, coords.data()) == n - 1);
}

void check_voxel_coords() {
  for (const bool first : {false, true}) {
    check_voxel_coords(200, {768, 768, 768}, first);
    check_voxel_coords(200, {1008, 3456}, first);
    check_voxel_coords(200, {1, 7, 1, 2147483647}, first);
    check_voxel_coords(200, {2147483647, 2147483647}, first);  // too many for products: divisions
    check_voxel_coords(200, {1 << 20, 3, 1 << 21}, first);
    check_voxel_coords(200, {11}, first);
  }
  const uint64_t id = 0;
  int32_t coords[5];
  const int64_t five[] = {2, 2, 2, 2, 2}, empty[] = {2, 0}, huge[] = {2147483647, 2147483647, 2147483647};
  CHECK(lartpc_voxel_coords(&id, 1, five, 5, 0, coords) == -1);
  CHECK(lartpc_voxel_coords(&id, 1, empty, 2, 0, coords) == -1);
  CHECK(lartpc_voxel_coords(&id, 1, huge, 3, 0, coords) == -1);
}

void check_edges(int64_t n, int dim, int32_t width, int32_t hidden) {
  std::uniform_int_distribution<int32_t> place(-40, 40);
  std::uniform_int_distribution<int64_t> row(0, n - 1);
  std::uniform_real_distribution<float> number(-1, 1);
  const auto random = [&](int64_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = number(random_source);
    return values;
  };
  const std::vector<float> features = random(n * width), sums = random(n * hidden), difference = random(width * hidden),
                           way = random(dim * hidden), bias = random(hidden), out = random(hidden);
  std::vector<int32_t> coords(n * dim);
  for (int32_t& c : coords) c = place(random_source);
  const int64_t edges = 3 * n;
  std::vector<int64_t> pairs(2 * edges);
  for (int64_t& end : pairs) end = row(random_source);
  std::vector<float> scores(edges);
  const auto call = [&] {
    return lartpc_score_edges(features.data(), sums.data(), coords.data(), n, pairs.data(), edges, difference.data(),
                              way.data(), bias.data(), out.data(), 0.3f, width, dim, hidden, scores.data());
  };
  CHECK(call() == 0);
  for (int64_t e = 0; e < edges; ++e) {
    const int64_t i = pairs[2 * e], j = pairs[2 * e + 1];
    double logit = 0.3;
    for (int32_t h = 0; h < hidden; ++h) {
      double sum = bias[h] + double{sums[i * hidden + h]} + sums[j * hidden + h];
      for (int32_t f = 0; f < width; ++f)
        sum += std::abs(double{features[i * width + f]} - features[j * width + f]) * difference[f * hidden + h];
      for (int axis = 0; axis < dim; ++axis)
        sum += std::abs(coords[i * dim + axis] - coords[j * dim + axis]) * double{way[axis * hidden + h]};
      logit += std::max(sum, 0.0) * out[h];
    }
    CHECK(std::abs(scores[e] - 1 / (1 + std::exp(-logit))) < 1e-4);
  }
  if (edges) {
    pairs[2 * edges - 1] = n;
    CHECK(call() == -1);
  }
}

}  // namespace

// With "threads" only what shows how threads meet.
int main(int argc, char** argv) {
  const bool only_threads = argc > 1 && std::strcmp(argv[1], "threads") == 0;
  check_refusals();
  check_voxel_coords();
  check_block_cut();
  for (const char* isa : {"portable", "avx2"}) {
    if (lartpc_select_isa(isa) != 0) {
      std::printf("%s: not to be had here\n", isa);
      continue;
    }
    if (!only_threads) {
      for (const int64_t n : {0, 1, 2, 60}) {
        for (int dim = 1; dim <= 4; ++dim) {
          check_near_other_class(n, dim, 1.0 + dim, n % 2 == 0);
          check_graph(n, dim, dim);
          if (n) check_edges(n, dim, 5 + dim, 7 * dim);
        }
      }
      check_batch({}, 4, 1);
      check_batch({0, 0}, 4, 2);
      check_batch({1}, 4, 1);
      check_batch({500, 40}, 11, 2);
      check_batch({560}, 11, 4);
      check_full_blocks(3);
    }
    check_batch({0, 90, 1, 0}, 7, 3);
    for (int threads = 1; threads <= 4; ++threads) check_wide_weights(threads);
    for (int64_t channels : {1, 3, 16, 21, 32, 33}) {
      check_norm<float>(channels == 3 ? 1 : 600, channels, 0.25, 3);
      check_norm<uint16_t>(channels == 3 ? 1 : 600, channels, 0.25, 3);
    }
    std::printf("%s: ok\n", isa);
  }
  check_two_callers();
}
