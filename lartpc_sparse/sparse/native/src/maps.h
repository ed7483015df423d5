// Kernel maps, cut into blocks of output rows with a list of pairs for every kernel slot: what an output-stationary
// convolution walks through.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "index.h"

namespace lartpc {

// Output rows of a block. Large enough that a slot meets dozens of pairs in a block, small enough that the sums of a
// block and the rows it reads stay in the second-level cache.
constexpr int64_t BLOCK_ROWS = 512;

// Pairs of one block, slot after slot; within a slot by rising output.
struct Block {
  std::unique_ptr<int32_t[]> in_rows;    // row of the input
  std::unique_ptr<uint16_t[]> outputs;   // output, counted from the first of the block
  std::unique_ptr<int32_t[]> slot_start; // K + 1 numbers
};

}  // namespace lartpc

struct LartpcMap {
  int64_t num_in = 0;
  int64_t num_out = 0;
  int32_t slots = 0;
  int32_t identity_slot = -1;  // slot of the pairs (n, n) for every n
  bool once = false;            // every output is in exactly one pair
  lartpc::RowOrder in_order;   // row of the n-th input; null when n itself
  lartpc::RowOrder out_order;  // row of the n-th output
  std::vector<lartpc::Block> blocks;

  int64_t first_output(int64_t block) const { return block * lartpc::BLOCK_ROWS; }
  int64_t num_outputs(int64_t block) const {
    const int64_t left = num_out - first_output(block);
    return left < lartpc::BLOCK_ROWS ? left : lartpc::BLOCK_ROWS;
  }
  int64_t out_row(int64_t output) const { return out_order ? (*out_order)[output] : output; }
};

namespace lartpc {

std::unique_ptr<LartpcMap> submanifold_map(const LartpcIndex& index, const int32_t* kernel_size, int threads);
std::unique_ptr<LartpcMap> strided_map(const LartpcIndex& fine, const LartpcIndex& coarse, const int32_t* kernel_size,
                                       const int32_t* step, int threads);
std::unique_ptr<LartpcMap> map_from_pairs(const int64_t* in_rows, const int64_t* out_rows, const int64_t* slot_starts,
                                          int32_t slots, int64_t num_in, int64_t num_out);
std::unique_ptr<LartpcMap> transpose(const LartpcMap& map);
int64_t count_pairs(const LartpcMap& map, int64_t* slot_counts);
void export_pairs(const LartpcMap& map, int64_t* in_rows, int64_t* out_rows);

}  // namespace lartpc
