#include "maps.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "pool.h"

namespace lartpc {
namespace {

// A kernel as runs along the last axis: voxels that are neighbours there have consecutive keys.
struct Runs {
  std::vector<int64_t> first;  // key shift of the first slot of each run
  int32_t length = 0;

  Runs(const KeyLayout& layout, const int32_t* kernel_size) {
    int32_t offset[MAX_DIM], lowest[MAX_DIM];
    const int dim = layout.dim;
    for (int axis = 0; axis < dim; ++axis) {
      lowest[axis] = kernel_size[axis] % 2 ? -(kernel_size[axis] / 2) : 0;  // odd kernels are centred
      offset[axis] = lowest[axis];
    }
    length = kernel_size[dim - 1];
    for (;;) {
      first.push_back(layout.shift(offset));
      int axis = dim - 2;
      for (; axis >= 0 && ++offset[axis] == lowest[axis] + kernel_size[axis]; --axis) offset[axis] = lowest[axis];
      if (axis < 0) return;
    }
  }

  int32_t slots() const { return static_cast<int32_t>(first.size()) * length; }
};

constexpr int64_t ROOM = MOST_BLOCK_ROWS + 1;  // of a list while it is built: one entry may be written that does not count

// Lists of one block while it is built: room for every output in every slot.
struct Scratch {
  std::vector<int32_t> in_rows;
  std::vector<uint16_t> outputs;
  std::vector<int32_t> count;

  explicit Scratch(int32_t slots) : in_rows(slots * ROOM), outputs(slots * ROOM), count(slots) {}
};

Block pack_block(const Scratch& scratch, int32_t slots, const int32_t* row_of_rank) {
  Block block;
  block.slot_start.reset(new int32_t[slots + 1]);
  int32_t sum = 0;
  for (int32_t slot = 0; slot < slots; ++slot) {
    block.slot_start[slot] = sum;
    sum += scratch.count[slot];
  }
  block.slot_start[slots] = sum;
  block.in_rows.reset(new int32_t[sum]);
  block.outputs.reset(new uint16_t[sum]);
  for (int32_t slot = 0; slot < slots; ++slot) {
    const int64_t from = slot * ROOM;
    int32_t* rows = block.in_rows.get() + block.slot_start[slot];
    std::copy_n(&scratch.in_rows[from], scratch.count[slot], rows);
    if (row_of_rank) {
      for (int32_t pair = 0; pair < scratch.count[slot]; ++pair) rows[pair] = row_of_rank[rows[pair]];
    }
    std::copy_n(&scratch.outputs[from], scratch.count[slot], block.outputs.get() + block.slot_start[slot]);
  }
  return block;
}

// The lists of a run of slots, ROOM entries each.
struct Run {
  int32_t* in_rows;
  uint16_t* outputs;
  int32_t* count;
};

template <int LENGTH>
void match_run(const int64_t* keys, int64_t position, const int64_t* target, int64_t outputs, int64_t shift, Run run) {
  int32_t count[LENGTH] = {};
  for (int64_t output = 0; output < outputs; ++output) {
    const int64_t wanted = target[output] + shift;
    while (keys[position] < wanted) ++position;
    int64_t found = position;
    // Written whether found or not, and counted only when found: no branch to mispredict.
    for (int step = 0; step < LENGTH; ++step) {
      const int64_t to = step * ROOM + count[step];
      run.in_rows[to] = static_cast<int32_t>(found);
      run.outputs[to] = static_cast<uint16_t>(output);
      const int32_t hit = keys[found] == wanted + step;
      count[step] += hit;
      found += hit;
    }
  }
  std::copy_n(count, LENGTH, run.count);
}

// Pairs (input, output) wherever an input key equals target[output] + shift of a slot. Targets rise, so that for each
// run one position moves through the sorted keys once: no hash, no cache misses.
void build_blocks(LartpcMap& map, const std::vector<int64_t>& targets, const LartpcIndex& inputs, const Runs& runs,
                  int threads) {
  const int64_t* keys = inputs.keys.data();
  const int64_t num_keys = inputs.size();
  const int32_t* row_of_rank = inputs.row_of_rank ? inputs.row_of_rank->data() : nullptr;
  map.slots = runs.slots();
  const int64_t blocks = map.cut.blocks;
  const int64_t a_task = std::max<int64_t>(1, std::min<int64_t>(4, blocks / (4 * std::max(threads, 1))));
  parallel_for((blocks + a_task - 1) / a_task, threads, [&](int64_t task, int) {
    Scratch scratch(map.slots);
    for (int64_t b = task * a_task; b < std::min(blocks, (task + 1) * a_task); ++b) {
      std::fill(scratch.count.begin(), scratch.count.end(), 0);
      const int64_t* target = targets.data() + map.first_output(b);
      const int64_t outputs = map.num_outputs(b);
      for (size_t run = 0; run < runs.first.size(); ++run) {
        const int64_t shift = runs.first[run];
        int64_t position = std::lower_bound(keys, keys + num_keys, target[0] + shift) - keys;
        const Run lists{&scratch.in_rows[run * runs.length * ROOM], &scratch.outputs[run * runs.length * ROOM],
                        &scratch.count[run * runs.length]};
        // Short runs are the usual ones: their counts live in registers.
        if (runs.length == 3) {
          match_run<3>(keys, position, target, outputs, shift, lists);
        } else if (runs.length == 2) {
          match_run<2>(keys, position, target, outputs, shift, lists);
        } else {
          for (int32_t step = 0; step < runs.length; ++step) {
            const int64_t at = std::lower_bound(keys, keys + num_keys, target[0] + shift + step) - keys;
            match_run<1>(keys, at, target, outputs, shift + step,
                         {lists.in_rows + step * ROOM, lists.outputs + step * ROOM, lists.count + step});
          }
        }
      }
      map.blocks[b] = pack_block(scratch, map.slots, row_of_rank);
    }
  });
}

// Sorts pairs given slot after slot into blocks of outputs.
template <class Visit>
void bucket_pairs(LartpcMap& map, const Visit& visit) {
  const int64_t blocks = map.cut.blocks, rows = map.cut.rows;
  const int32_t slots = map.slots;
  for (Block& block : map.blocks) {
    block.slot_start.reset(new int32_t[slots + 1]);
    std::fill_n(block.slot_start.get(), slots + 1, 0);
  }
  visit([&](int32_t slot, int64_t, int64_t output) { ++map.blocks[output / rows].slot_start[slot + 1]; });
  for (Block& block : map.blocks) {
    for (int32_t slot = 0; slot < slots; ++slot) block.slot_start[slot + 1] += block.slot_start[slot];
    const int32_t sum = block.slot_start[slots];
    block.in_rows.reset(new int32_t[sum]);
    block.outputs.reset(new uint16_t[sum]);
  }
  std::vector<int32_t> next(blocks * slots);
  for (int64_t b = 0; b < blocks; ++b) std::copy_n(map.blocks[b].slot_start.get(), slots, &next[b * slots]);
  visit([&](int32_t slot, int64_t in_row, int64_t output) {
    Block& block = map.blocks[output / rows];
    const int32_t to = next[output / rows * slots + slot]++;
    block.in_rows[to] = static_cast<int32_t>(in_row);
    block.outputs[to] = static_cast<uint16_t>(output % rows);
  });
}

// Whether every output is in exactly one pair.
bool covers_once(const LartpcMap& map) {
  for (size_t b = 0; b < map.blocks.size(); ++b) {
    const Block& block = map.blocks[b];
    const int64_t outputs = map.num_outputs(static_cast<int64_t>(b));
    if (block.slot_start[map.slots] != outputs) return false;
    std::vector<bool> seen(outputs);
    for (int64_t pair = 0; pair < outputs; ++pair) {
      if (seen[block.outputs[pair]]) return false;
      seen[block.outputs[pair]] = true;
    }
  }
  return true;
}

std::vector<int32_t> inverse(const RowOrder& order, int64_t n) {
  std::vector<int32_t> rank_of_row(n);
  for (int64_t rank = 0; rank < n; ++rank) rank_of_row[order ? (*order)[rank] : rank] = static_cast<int32_t>(rank);
  return rank_of_row;
}

}  // namespace

std::unique_ptr<LartpcMap> submanifold_map(const LartpcIndex& index, const int32_t* kernel_size, int threads) {
  std::unique_ptr<LartpcMap> map(new LartpcMap);
  map->num_in = index.size();
  map->set_outputs(index.size());
  map->in_order = map->out_order = index.row_of_rank;
  build_blocks(*map, index.keys, index, Runs(index.layout, kernel_size), threads);
  map->identity_slot = map->slots / 2;
  return map;
}

std::unique_ptr<LartpcMap> strided_map(const LartpcIndex& fine, const LartpcIndex& coarse, const int32_t* kernel_size,
                                       const int32_t* step, int threads) {
  std::unique_ptr<LartpcMap> map(new LartpcMap);
  map->num_in = fine.size();
  map->set_outputs(coarse.size());
  map->in_order = fine.row_of_rank;
  map->out_order = coarse.row_of_rank;
  std::vector<int64_t> corners(coarse.size());
  const KeyLayout& layout = fine.layout;
  for (int64_t rank = 0; rank < coarse.size(); ++rank) {
    int32_t coord[MAX_DIM];
    layout.unpack(coarse.keys[rank], coord);
    for (int axis = 0; axis < layout.dim; ++axis) {
      coord[axis] = static_cast<int32_t>(static_cast<int64_t>(coord[axis]) * step[axis]);
    }
    corners[rank] = layout.key(layout.event(coarse.keys[rank]), coord);
  }
  build_blocks(*map, corners, fine, Runs(layout, kernel_size), threads);
  return map;
}

std::unique_ptr<LartpcMap> map_from_pairs(const int64_t* in_rows, const int64_t* out_rows, const int64_t* slot_starts,
                                          int32_t slots, int64_t num_in, int64_t num_out) {
  std::unique_ptr<LartpcMap> map(new LartpcMap);
  map->num_in = num_in;
  map->set_outputs(num_out);
  map->slots = slots;
  for (int64_t pair = slot_starts[0]; pair < slot_starts[slots]; ++pair) {
    if (in_rows[pair] < 0 || in_rows[pair] >= num_in || out_rows[pair] < 0 || out_rows[pair] >= num_out) {
      throw std::out_of_range("pair " + std::to_string(pair) + " of a kernel map names a row that does not exist");
    }
  }
  std::vector<int32_t> last_slot(num_out, -1);
  for (int32_t slot = 0; slot < slots; ++slot) {
    for (int64_t pair = slot_starts[slot]; pair < slot_starts[slot + 1]; ++pair) {
      int32_t& last = last_slot[out_rows[pair]];
      if (last == slot) throw std::invalid_argument("a slot of a kernel map meets an output row twice");
      last = slot;
    }
  }
  bucket_pairs(*map, [&](const auto& take) {
    for (int32_t slot = 0; slot < slots; ++slot) {
      for (int64_t pair = slot_starts[slot]; pair < slot_starts[slot + 1]; ++pair) {
        take(slot, in_rows[pair], out_rows[pair]);
      }
    }
  });
  return map;
}

std::unique_ptr<LartpcMap> transpose(const LartpcMap& original) {
  std::unique_ptr<LartpcMap> map(new LartpcMap);
  map->num_in = original.num_out;
  map->set_outputs(original.num_in);
  map->slots = original.slots;
  map->identity_slot = original.identity_slot;
  map->in_order = original.out_order;
  map->out_order = original.in_order;
  const std::vector<int32_t> rank_of_row = inverse(original.in_order, original.num_in);
  bucket_pairs(*map, [&](const auto& take) {
    for (size_t b = 0; b < original.blocks.size(); ++b) {
      const Block& block = original.blocks[b];
      const int64_t first = original.first_output(static_cast<int64_t>(b));
      for (int32_t slot = 0; slot < original.slots; ++slot) {
        for (int32_t pair = block.slot_start[slot]; pair < block.slot_start[slot + 1]; ++pair) {
          take(slot, original.out_row(first + block.outputs[pair]), rank_of_row[block.in_rows[pair]]);
        }
      }
    }
  });
  map->once = covers_once(*map);
  return map;
}

int64_t count_pairs(const LartpcMap& map, int64_t* slot_counts) {
  int64_t sum = 0;
  for (int32_t slot = 0; slot < map.slots; ++slot) {
    slot_counts[slot] = 0;
    for (const Block& block : map.blocks) slot_counts[slot] += block.slot_start[slot + 1] - block.slot_start[slot];
    sum += slot_counts[slot];
  }
  return sum;
}

void export_pairs(const LartpcMap& map, int64_t* in_rows, int64_t* out_rows) {
  for (int32_t slot = 0; slot < map.slots; ++slot) {
    if (slot == map.identity_slot) {  // in row order, whatever the order of the outputs
      for (int64_t row = 0; row < map.num_out; ++row) *in_rows++ = *out_rows++ = row;
      continue;
    }
    for (size_t b = 0; b < map.blocks.size(); ++b) {
      const Block& block = map.blocks[b];
      for (int32_t pair = block.slot_start[slot]; pair < block.slot_start[slot + 1]; ++pair) {
        *in_rows++ = block.in_rows[pair];
        *out_rows++ = map.out_row(map.first_output(static_cast<int64_t>(b)) + block.outputs[pair]);
      }
    }
  }
}

}  // namespace lartpc
