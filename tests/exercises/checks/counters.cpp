#include "checks/counters.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "gpu.h"

namespace exercise {

namespace {

constexpr uintptr_t kLineBytes = 128, kBankBytes = 4, kBanks = 32;
constexpr uintptr_t kGuardBytes = 256;  // on either side of an array, by the emulated GPU

/// What the lanes of one wave did at one place in the code, the same time round.
struct Instruction {
  bool is_write = false, is_shared = false;
  size_t bytes = 0;
  std::vector<std::pair<int, uintptr_t>> lanes;  // lane, address
};

struct Place {
  std::unordered_map<int, int> rounds;                      // thread -> its accesses here so far
  std::map<std::pair<int, int>, Instruction> instructions;  // by wave and round
};

// The exercises run on one OS thread (gpu_check.h), so this needs no lock.
std::map<uintptr_t, std::pair<uintptr_t, bool>> arrays;  // begin -> end, counted
std::unordered_map<const void*, Place> block;            // of the running block, by return address
uint64_t block_serial = 0;
Counts total;

void add_lines(Traffic& traffic, const Instruction& instruction) {
  std::set<uintptr_t> lines, addresses;
  for (const auto& [lane, address] : instruction.lanes) {
    addresses.insert(address);
    lines.insert(address / kLineBytes);
  }
  ++traffic.instructions;
  traffic.lines += static_cast<int64_t>(lines.size());
  traffic.fewest_lines +=
      static_cast<int64_t>((addresses.size() * instruction.bytes + kLineBytes - 1) / kLineBytes);
  traffic.words += static_cast<int64_t>(instruction.lanes.size() * instruction.bytes / kBankBytes);
}

void add_turns(SharedTraffic& traffic, const Instruction& instruction) {
  const int lanes_of_a_turn = static_cast<int>(kBanks * kBankBytes / instruction.bytes);
  std::map<int, std::set<uintptr_t>> groups;  // the words that each group of lanes needs
  for (const auto& [lane, address] : instruction.lanes)
    for (uintptr_t word = address / kBankBytes; word < (address + instruction.bytes) / kBankBytes; ++word)
      groups[lane / lanes_of_a_turn].insert(word);
  for (const auto& [group, words] : groups) {
    std::map<uintptr_t, int64_t> words_of_bank;
    int64_t turns = 0;
    for (const uintptr_t word : words) turns = std::max(turns, ++words_of_bank[word % kBanks]);
    ++traffic.groups;
    traffic.turns += turns;
  }
  traffic.words += static_cast<int64_t>(instruction.lanes.size() * instruction.bytes / kBankBytes);
}

void end_block() {
  for (const auto& [address, place] : block) {
    for (const auto& [key, instruction] : place.instructions) {
      if (instruction.is_shared) {
        add_turns(total.shared, instruction);
      } else {
        add_lines(instruction.is_write ? total.writes : total.reads, instruction);
      }
    }
  }
  block.clear();
}

/// An access beside an array: what is there belongs to nobody.
[[noreturn]] void stop_at_access_beside(decltype(arrays)::iterator array, uintptr_t at, bool is_write) {
  const auto element = static_cast<int64_t>(at - array->first) / static_cast<int64_t>(sizeof(float));
  std::printf("%s: thread (%u,%u) of block (%u,%u) %s element %lld of an array of %zu\n",
              hipgpt::emulated::current.kernel, threadIdx.x, threadIdx.y, blockIdx.x, blockIdx.y,
              is_write ? "writes" : "reads", static_cast<long long>(element),
              (array->second.first - array->first) / sizeof(float));
  std::fflush(stdout);
  std::_Exit(1);
}

}  // namespace

// Not inlined: the return address tells the places in a kernel apart.
[[gnu::noinline]] void count_access(const void* address, size_t bytes, bool is_write) {
  if (hipgpt::emulated::current.block_serial != block_serial) {
    end_block();
    block_serial = hipgpt::emulated::current.block_serial;
  }
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto next = arrays.upper_bound(at);
  if (next != arrays.end() && at + kGuardBytes >= next->first) stop_at_access_beside(next, at, is_write);
  bool in_device_memory = false;
  if (next != arrays.begin()) {
    const auto array = std::prev(next);
    const auto [end, counted] = array->second;
    in_device_memory = at < end;
    if (!in_device_memory && at < end + kGuardBytes) stop_at_access_beside(array, at, is_write);
    if (in_device_memory && !counted) return;
  }
  const int thread = static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
  Place& place = block[__builtin_return_address(0)];
  Instruction& instruction = place.instructions[{thread / warpSize, place.rounds[thread]++}];
  instruction.is_write = is_write;
  instruction.is_shared = !in_device_memory;
  instruction.bytes = bytes;
  instruction.lanes.emplace_back(thread % warpSize, at);
}

void start_counting() {
  block.clear();
  total = {};
}

Counts counts() {
  end_block();
  return total;
}

void add_array(const void* begin, size_t bytes, bool counted) {
  const auto at = reinterpret_cast<uintptr_t>(begin);
  arrays[at] = {at + bytes, counted};
}

void remove_array(const void* begin) {
  arrays.erase(reinterpret_cast<uintptr_t>(begin));
}

}  // namespace exercise
