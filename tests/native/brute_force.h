// What the library must compute, written as plainly as possible, and random voxels to compute it with.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
      std::exit(1);                                                             \
    }                                                                           \
  } while (0)

using Coord = std::array<int32_t, 3>;
using Place = std::array<int32_t, 4>;  // event and coordinate

struct Pair {
  int64_t in, out;
  int slot;
  bool operator<(const Pair& other) const {
    return slot != other.slot ? slot < other.slot : in != other.in ? in < other.in : out < other.out;
  }
  bool operator==(const Pair& other) const { return in == other.in && out == other.out && slot == other.slot; }
};

struct Voxels {
  std::vector<Coord> coords;
  std::vector<int64_t> offsets{0};

  int64_t size() const { return static_cast<int64_t>(coords.size()); }
  int64_t events() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int event(int64_t row) const {
    int event = 0;
    while (offsets[event + 1] <= row) ++event;
    return event;
  }
  std::map<Place, int64_t> rows() const {
    std::map<Place, int64_t> rows;
    for (int64_t row = 0; row < size(); ++row) {
      rows[{event(row), coords[row][0], coords[row][1], coords[row][2]}] = row;
    }
    return rows;
  }
};

inline int32_t floor_divide(int32_t value, int32_t by) {
  return static_cast<int32_t>(std::floor(static_cast<double>(value) / by));
}

// Events of the given numbers of different voxels, negative ones among them, in random order.
inline Voxels random_voxels(std::mt19937& random, const std::vector<int>& counts, int32_t side) {
  Voxels voxels;
  for (int count : counts) {
    std::map<Coord, bool> taken;
    while (static_cast<int>(taken.size()) < count) {
      Coord coord;
      for (int32_t& axis : coord) axis = static_cast<int32_t>(random() % static_cast<uint32_t>(side)) - side / 2;
      if (!taken.emplace(coord, true).second) continue;
      voxels.coords.push_back(coord);
    }
    voxels.offsets.push_back(voxels.size());
  }
  return voxels;
}

// Pairs with input coordinate = step * output coordinate + offset of the slot; even kernels start at 0.
inline std::vector<Pair> brute_force_pairs(const Voxels& fine, const Voxels& coarse, const Coord& kernel,
                                           const Coord& step) {
  std::vector<Pair> pairs;
  const auto rows = fine.rows();
  Coord low;
  for (int axis = 0; axis < 3; ++axis) low[axis] = kernel[axis] % 2 ? -(kernel[axis] / 2) : 0;
  int slot = 0;
  for (int x = 0; x < kernel[0]; ++x) {
    for (int y = 0; y < kernel[1]; ++y) {
      for (int z = 0; z < kernel[2]; ++z, ++slot) {
        for (int64_t out = 0; out < coarse.size(); ++out) {
          const Coord& at = coarse.coords[out];
          const auto found = rows.find({coarse.event(out), at[0] * step[0] + low[0] + x, at[1] * step[1] + low[1] + y,
                                        at[2] * step[2] + low[2] + z});
          if (found != rows.end()) pairs.push_back({found->second, out, slot});
        }
      }
    }
  }
  return pairs;
}

// How each storage format is written and read.
inline void write(float value, float& to) { to = value; }
inline void write(float value, double& to) { to = value; }
inline void write(float value, uint16_t& to) {  // bfloat16, cut off: only used to make inputs
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  to = static_cast<uint16_t>(bits >> 16);
}
inline double read(float value) { return value; }
inline double read(double value) { return value; }
inline double read(uint16_t value) {
  const uint32_t bits = uint32_t{value} << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// n random numbers in a vector of exactly that size, so that a read behind its end is noticed.
template <class T>
std::vector<T> random_numbers(std::mt19937& random, int64_t n) {
  std::normal_distribution<float> normal;
  std::vector<T> numbers(n);
  for (T& number : numbers) write(normal(random), number);
  numbers.shrink_to_fit();
  return numbers;
}
