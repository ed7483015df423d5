// Kernel maps, cut into blocks of output rows with a list of pairs for every kernel slot: what an output-stationary
// convolution walks through.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "index.h"

namespace lartpc {

// Output rows of a block, at most. Large enough that a slot meets many pairs while its weights are in the cache, small
// enough that the sums of a block and the rows it reads stay in the second-level cache.
constexpr int64_t MOST_BLOCK_ROWS = 1024;

// How n output rows are cut into blocks: all of nearly the same size and, but for one block, in number even (from 5 on
// a multiple of 4), so that no thread of two or four waits for the others at the end. Depends on n alone: all maps onto
// the same rows agree.
struct BlockCut {
  int64_t n = 0, rows = 1, blocks = 0;

  BlockCut() = default;
  explicit BlockCut(int64_t n) : n(n) {
    if (n <= 0) return;
    // Below ten large blocks small ones: threads could not share out so few large ones evenly.
    const int64_t most = n >= 10 * MOST_BLOCK_ROWS ? MOST_BLOCK_ROWS : MOST_BLOCK_ROWS / 2;
    const int64_t least = (n + most - 1) / most;
    const int64_t even = least > 4 ? (least + 3) / 4 * 4 : least > 1 ? (least + 1) / 2 * 2 : 1;
    rows = (n + even - 1) / even;
    blocks = (n + rows - 1) / rows;
  }

  int64_t first(int64_t block) const { return block * rows; }
  int64_t size(int64_t block) const { return n - first(block) < rows ? n - first(block) : rows; }
};

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
  lartpc::BlockCut cut;  // of num_out
  std::vector<lartpc::Block> blocks;

  // An empty map onto `outputs` rows, its blocks still to be filled.
  void set_outputs(int64_t outputs) {
    num_out = outputs;
    cut = lartpc::BlockCut(outputs);
    blocks.resize(cut.blocks);
  }
  int64_t first_output(int64_t block) const { return cut.first(block); }
  int64_t num_outputs(int64_t block) const { return cut.size(block); }
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
