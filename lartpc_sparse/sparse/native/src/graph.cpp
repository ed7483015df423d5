#include "graph.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace lartpc {
namespace {

constexpr int MAX_AXES = 4;

struct Keyed {
  uint64_t key;
  int64_t row;
  bool operator<(const Keyed& other) const { return key != other.key ? key < other.key : row < other.row; }
};

// Labelled voxels in the order of label | last axis | ... | first axis, with room for `reach` around each field.
std::vector<Keyed> sorted_keys(const int32_t* coords, const int64_t* label, int64_t n, int dim, int32_t reach,
                               std::array<int, MAX_AXES>& shifts) {
  std::array<int64_t, MAX_AXES> low{}, high{};
  int64_t top = -1, number = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (label[i] < 0) continue;
    for (int axis = 0; axis < dim; ++axis) {
      const int64_t c = coords[i * dim + axis];
      low[axis] = number ? std::min(low[axis], c) : c;
      high[axis] = number ? std::max(high[axis], c) : c;
    }
    top = std::max(top, label[i]);
    ++number;
  }
  int used = 0;
  for (int axis = 0; axis < dim; ++axis) {
    shifts[axis] = used;
    int bits = 1;
    while ((int64_t{1} << bits) < high[axis] - low[axis] + 1 + 2 * int64_t{reach}) ++bits;
    used += bits;
  }
  if (used >= 63 || (number && top >= int64_t{1} << (63 - used)))
    throw std::length_error("labels and coordinates do not fit into a key of 64 bits");
  std::vector<Keyed> keys;
  keys.reserve(number);
  for (int64_t i = 0; i < n; ++i) {
    if (label[i] < 0) continue;
    uint64_t key = static_cast<uint64_t>(label[i]) << used;
    for (int axis = 0; axis < dim; ++axis)
      key += static_cast<uint64_t>(coords[i * dim + axis] - low[axis] + reach) << shifts[axis];
    keys.push_back({key, i});
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

// Key differences of the rows along the first axis that come after a voxel's own: half of those around it.
std::vector<uint64_t> later_rows(int dim, int32_t reach, const std::array<int, MAX_AXES>& shifts) {
  std::vector<uint64_t> rows{0};
  for (int axis = 1; axis < dim; ++axis) {
    std::vector<uint64_t> longer;
    for (const uint64_t row : rows)
      for (int32_t step = -reach; step <= reach; ++step)
        longer.push_back(row + (static_cast<uint64_t>(int64_t{step}) << shifts[axis]));
    rows.swap(longer);
  }
  // Differences are two's complement numbers; those that lead backwards belong to the other voxel of the pair.
  rows.erase(std::remove_if(rows.begin(), rows.end(), [](uint64_t row) { return static_cast<int64_t>(row) < 0; }),
             rows.end());
  return rows;
}

class Clusters {
 public:
  explicit Clusters(int64_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), int64_t{0}); }

  int64_t find(int64_t node) {
    while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
    return node;
  }

  void join(int64_t child, int64_t root) { parent_[child] = root; }

 private:
  std::vector<int64_t> parent_;
};

struct Link {
  int64_t other;
  double sum;
  int64_t count;
  double mean() const { return sum / static_cast<double>(count); }
};

// Links of one cluster by the other end: a plain list while they are few, as nearly all are, with an index when many.
class Links {
 public:
  size_t size() const { return list_.size(); }
  const std::vector<Link>& list() const { return list_; }

  const Link* find(int64_t other) const {
    const size_t place = place_of(other);
    return place < list_.size() ? &list_[place] : nullptr;
  }

  // The link after its score has been added.
  const Link& add(int64_t other, double sum, int64_t count) {
    const size_t place = place_of(other);
    if (place < list_.size()) {
      list_[place].sum += sum;
      list_[place].count += count;
      return list_[place];
    }
    list_.push_back({other, sum, count});
    if (indexed_) {
      index_[other] = place;
    } else if (list_.size() > FEW) {
      indexed_ = true;
      for (size_t k = 0; k < list_.size(); ++k) index_[list_[k].other] = k;
    }
    return list_.back();
  }

  void erase(int64_t other) {
    const size_t place = place_of(other);
    list_[place] = list_.back();
    if (indexed_) {
      index_[list_[place].other] = place;
      index_.erase(other);
    }
    list_.pop_back();
  }

  std::vector<Link> take() {
    index_.clear();
    indexed_ = false;
    std::vector<Link> list;
    list.swap(list_);
    return list;
  }

 private:
  static constexpr size_t FEW = 24;

  size_t place_of(int64_t other) const {
    if (indexed_) {
      const auto found = index_.find(other);
      return found == index_.end() ? list_.size() : found->second;
    }
    size_t place = 0;
    while (place < list_.size() && list_[place].other != other) ++place;
    return place;
  }

  std::vector<Link> list_;
  std::unordered_map<int64_t, size_t> index_;
  bool indexed_ = false;
};

struct Candidate {
  double mean;
  int64_t one, other;  // one < other
  // Highest mean first; among equals the lowest clusters, so that the result is a function of the graph alone.
  bool operator<(const Candidate& c) const {
    return mean != c.mean ? mean < c.mean : one != c.one ? one > c.one : other > c.other;
  }
};

class Agglomeration {
 public:
  Agglomeration(int64_t nodes, double threshold) : clusters_(nodes), links_(nodes), threshold_(threshold) {}

  Clusters& clusters() { return clusters_; }

  void link(int64_t one, int64_t other, double score) {
    links_[one].add(other, score, 1);
    links_[other].add(one, score, 1);
  }

  void run() {
    std::vector<Candidate> first;
    for (int64_t a = 0; a < static_cast<int64_t>(links_.size()); ++a)
      for (const Link& link : links_[a].list())
        if (a < link.other && link.mean() >= threshold_) first.push_back({link.mean(), a, link.other});
    queue_ = std::priority_queue<Candidate>(std::less<Candidate>(), std::move(first));
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const Link* link = links_[best.one].find(best.other);
      if (link != nullptr && link->mean() == best.mean) merge(best.one, best.other);
    }
  }

 private:
  // The cluster with fewer links is poured into the other.
  void merge(int64_t one, int64_t other) {
    const bool smaller = links_[one].size() < links_[other].size();
    const int64_t from = smaller ? one : other, into = smaller ? other : one;
    clusters_.join(from, into);
    links_[into].erase(from);
    for (const Link& link : links_[from].take()) {
      if (link.other == into) continue;
      links_[link.other].erase(from);
      const Link joined = links_[into].add(link.other, link.sum, link.count);
      links_[link.other].add(into, link.sum, link.count);
      if (joined.mean() >= threshold_)
        queue_.push({joined.mean(), std::min(into, link.other), std::max(into, link.other)});
    }
  }

  Clusters clusters_;
  std::vector<Links> links_;
  std::priority_queue<Candidate> queue_;
  double threshold_;
};

}  // namespace

std::vector<int64_t> near_pairs(const int32_t* coords, const int64_t* label, int64_t n, int dim, int32_t reach) {
  std::array<int, MAX_AXES> shifts{};
  const std::vector<Keyed> keys = sorted_keys(coords, label, n, dim, reach, shifts);
  const auto count = static_cast<int64_t>(keys.size());
  std::vector<int64_t> pairs;
  pairs.reserve(16 * keys.size());
  for (const uint64_t row : later_rows(dim, reach, shifts)) {
    int64_t cursor = 0;
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t middle = keys[i].key + row;
      if (row == 0) cursor = i + 1;
      while (cursor < count && keys[cursor].key + reach < middle) ++cursor;
      for (int64_t j = cursor; j < count && keys[j].key <= middle + reach; ++j) {
        pairs.push_back(keys[i].row);
        pairs.push_back(keys[j].row);
      }
    }
  }
  return pairs;
}

std::vector<int64_t> pairs_at(const int32_t* coords, const int64_t* label, int64_t n, int dim, uint64_t distances) {
  int32_t side = 0;
  for (int32_t distance = 1; distance < 64; ++distance)
    if (distances >> distance & 1) side = distance;
  std::vector<int64_t> pairs;
  if (side == 0) return pairs;
  // In cells as wide as the longest distance a pair lies in one cell or in two neighbouring ones.
  std::vector<int32_t> cells(n * dim);
  for (int64_t i = 0; i < n * dim; ++i) {
    const int32_t c = coords[i];
    cells[i] = c >= 0 ? c / side : -((-static_cast<int64_t>(c) + side - 1) / side);
  }
  std::array<int, MAX_AXES> shifts{};
  const std::vector<Keyed> keys = sorted_keys(cells.data(), label, n, dim, 1, shifts);
  const auto count = static_cast<int64_t>(keys.size());
  std::vector<int32_t> places(count * dim);
  for (int64_t i = 0; i < count; ++i)
    std::copy_n(coords + keys[i].row * dim, dim, places.begin() + i * dim);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < count; ++i)
    if (i == 0 || keys[i].key != keys[i - 1].key) starts.push_back(i);
  starts.push_back(count);
  const auto number = static_cast<int64_t>(starts.size()) - 1;

  const auto pair_up = [&](int64_t i, int64_t j) {
    int32_t distance = 0;
    for (int axis = 0; axis < dim; ++axis)
      distance = std::max(distance, std::abs(places[i * dim + axis] - places[j * dim + axis]));
    if (distance >= 64 || !(distances >> distance & 1)) return;
    pairs.push_back(keys[i].row);
    pairs.push_back(keys[j].row);
  };
  for (const uint64_t row : later_rows(dim, 1, shifts)) {
    int64_t cursor = 0;
    for (int64_t cell = 0; cell < number; ++cell) {
      const uint64_t middle = keys[starts[cell]].key + row;
      if (row == 0) cursor = cell;
      while (cursor < number && keys[starts[cursor]].key + 1 < middle) ++cursor;
      for (int64_t other = cursor; other < number && keys[starts[other]].key <= middle + 1; ++other)
        for (int64_t i = starts[cell]; i < starts[cell + 1]; ++i)
          for (int64_t j = other == cell ? i + 1 : starts[other]; j < starts[other + 1]; ++j) pair_up(i, j);
    }
  }
  return pairs;
}

int64_t agglomerate(const int64_t* pairs, const float* scores, int64_t num_pairs, int64_t num_nodes, double threshold,
                    double certain, int64_t* cluster) {
  for (int64_t e = 0; e < 2 * num_pairs; ++e)
    if (pairs[e] < 0 || pairs[e] >= num_nodes) throw std::out_of_range("an edge names a node that does not exist");
  Agglomeration agglomeration(num_nodes, threshold);
  Clusters& clusters = agglomeration.clusters();
  for (int64_t e = 0; e < num_pairs; ++e) {
    if (!(scores[e] >= certain)) continue;
    const int64_t a = clusters.find(pairs[2 * e]), b = clusters.find(pairs[2 * e + 1]);
    clusters.join(std::max(a, b), std::min(a, b));
  }
  for (int64_t e = 0; e < num_pairs; ++e) {
    const int64_t a = clusters.find(pairs[2 * e]), b = clusters.find(pairs[2 * e + 1]);
    if (a != b) agglomeration.link(a, b, scores[e]);
  }
  agglomeration.run();
  std::vector<int64_t> number(num_nodes, -1);
  int64_t found = 0;
  for (int64_t i = 0; i < num_nodes; ++i) {
    int64_t& own = number[clusters.find(i)];
    if (own < 0) own = found++;
    cluster[i] = own;
  }
  return found;
}

}  // namespace lartpc
