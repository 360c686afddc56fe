#include "platform/emulated/block.h"

#include <algorithm>
#include <memory>
#include <new>
#include <numeric>

#include "platform/emulated/fault.h"
#include "platform/emulated/hip/hip_runtime.h"
#include "platform/emulated/poison.h"
#include "platform/emulated/random.h"
#include "platform/emulated/sanitizer.h"

thread_local constinit uint3 threadIdx{}, blockIdx{};
thread_local constinit dim3 blockDim{}, gridDim{};

namespace hipgpt::emulated {

thread_local constinit Current current;

namespace {

thread_local constinit BlockRunner* this_runner = nullptr;

std::string to_string(uint3 index) {
  std::string text = "(";
  text += std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
  return text;
}

}  // namespace

// ---- A block from start to end ----------------------------------------------------------------------------

BlockRunner& BlockRunner::mine() {
  struct Owner {
    SignalStack signal_stack;
    std::unique_ptr<BlockRunner> runner{new BlockRunner};
    Owner() { this_runner = runner.get(); }
    ~Owner() { this_runner = nullptr; }
  };
  static thread_local Owner owner;
  return *owner.runner;
}

BlockRunner* BlockRunner::mine_if_any() {
  return this_runner;
}

BlockRunner::BlockRunner() : fibers_(fiber_main) {}

void BlockRunner::run(const Launch& launch, uint3 block_index, uint64_t seed) {
  begin(launch, block_index);
  for (uint64_t interval = 0;; ++interval) {
    if (interval == 0 || seed != 0) order_threads(seed == 0 ? 0 : Random(seed + interval).next() | 1);
    run_to_barrier();
    if (live_ == 0) break;
    if (at_barrier_ != live_) report_deadlock();
    end_barrier();
  }
  end();
}

void BlockRunner::begin(const Launch& launch, uint3 block_index) {
  launch_ = &launch;
  thread_count_ = live_ = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  at_barrier_ = 0;
  fibers_.grow(static_cast<size_t>(thread_count_), free_fibers_);
  threads_.resize(static_cast<size_t>(thread_count_));
  size_t i = 0;
  for (unsigned z = 0; z < launch.block.z; ++z)
    for (unsigned y = 0; y < launch.block.y; ++y)
      for (unsigned x = 0; x < launch.block.x; ++x) threads_[i++] = {State::kReady, {x, y, z}, nullptr, {}};

  waves_.resize((threads_.size() + warpSize - 1) / warpSize);
  for (Wave& wave : waves_) {
    wave.meeting = wave.arrived = 0;
    wave.arrived_mask = 0;
    wave.live = warpSize;
  }
  if (thread_count_ % warpSize != 0) waves_.back().live = thread_count_ % warpSize;

  blockIdx = block_index;
  blockDim = launch.block;
  gridDim = launch.grid;
  ++current.block_serial;
}

void BlockRunner::order_threads(uint64_t seed) {
  order_.resize(threads_.size());
  std::iota(order_.begin(), order_.end(), 0);
  group_size_ = seed == 0 ? warpSize : thread_count_;
  if (seed == 0) return;
  Random random(seed);
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random.below(i)]);
}

void BlockRunner::end() {
  for (const SharedArray* array : shared_arrays_)
    if (!array->guards_intact())
      fail(std::string("out-of-bounds write next to shared array '") + array->name() + "' of " +
           std::to_string(array->bytes()) + " bytes");
  shared_arrays_.clear();
  shared_bytes_ = 0;
}

// ---- Taking turns -----------------------------------------------------------------------------------------

// A thread that must wait switches directly to the next ready thread; the last one switches back to
// run_to_barrier(). A thread that has not started needs no stack yet: an exiting thread passes its stack on.
// A kernel without barriers therefore runs on a single fiber, as a loop over its threads.

/// Runs every thread until it waits at a barrier or exits.
void BlockRunner::run_to_barrier() {
  group_begin_ = turn_ = 0;
  group_end_ = std::min(group_size_, thread_count_);
  any_ready_ = false;
  current.kernel = launch_->kernel.c_str();
  leave(scheduler_);
  current.kernel = nullptr;
}

/// The next ready thread, or -1 if all threads wait.
int BlockRunner::next_ready() {
  for (;;) {
    while (turn_ < group_end_) {
      const int number = order_[static_cast<size_t>(turn_++)];
      if (threads_[static_cast<size_t>(number)].state != State::kReady) continue;
      any_ready_ = true;
      return number;
    }
    if (!any_ready_) {  // every thread of this group waits
      if (group_end_ == thread_count_) return -1;
      group_begin_ = group_end_;
      group_end_ = std::min(group_end_ + group_size_, thread_count_);
    }
    turn_ = group_begin_;
    any_ready_ = false;
  }
}

void BlockRunner::set_running(int thread) {
  running_ = thread;
  threadIdx = threads_[static_cast<size_t>(thread)].index;
  current.lane = thread % warpSize;
}

/// Switches to the fiber of the next ready thread.
void BlockRunner::leave(Fiber& from) {
  const int next = next_ready();
  if (next < 0) {
    if (&from != &scheduler_) switch_fiber(from, scheduler_);
    return;
  }
  set_running(next);
  Thread& thread = threads_[static_cast<size_t>(next)];
  if (thread.fiber == nullptr) {
    thread.fiber = free_fibers_.back();
    free_fibers_.pop_back();
  }
  if (thread.fiber != &from) switch_fiber(from, *thread.fiber);
}

/// Suspends the running thread.
void BlockRunner::wait() {
  leave(*threads_[static_cast<size_t>(running_)].fiber);
}

/// A fiber runs one thread after another, of any block.
void BlockRunner::fiber_main() {
  BlockRunner& runner = *this_runner;
  fiber_begins(runner.scheduler_);
  for (;;) {
    runner.launch_->body();
    runner.exit_thread();
  }
}

/// Returns when this fiber has a new thread to run, which is then the running one.
void BlockRunner::exit_thread() {
  Thread& thread = threads_[static_cast<size_t>(running_)];
  thread.state = State::kExited;
  --live_;
  const int wave_number = running_ / warpSize;
  Wave& wave = waves_[static_cast<size_t>(wave_number)];
  --wave.live;
  if (wave.live > 0 && wave.arrived == wave.live) finish_meeting(wave, wave_number);
  // If the next thread has no fiber, it takes this one and leave() returns at once.
  free_fibers_.push_back(thread.fiber);
  leave(*thread.fiber);
}

void BlockRunner::barrier(Site site) {
  Thread& thread = threads_[static_cast<size_t>(running_)];
  thread.state = State::kAtBarrier;
  thread.site = site;
  ++at_barrier_;
  wait();
}

void BlockRunner::end_barrier() {
  const Thread* first = nullptr;
  for (Thread& thread : threads_) {
    if (thread.state != State::kAtBarrier) continue;
    thread.state = State::kReady;
    if (first == nullptr) first = &thread;
    if (thread.site.line != first->site.line)
      fail("the threads are at different barriers: " + describe(*first) + ", " + describe(thread));
  }
  at_barrier_ = 0;
}

const Lanes& BlockRunner::meet(uint64_t value, Site site) {
  const int number = running_ / warpSize;
  Wave& wave = waves_[static_cast<size_t>(number)];
  Lanes& lanes = wave.meetings[wave.meeting];
  lanes.values[current.lane] = value;
  wave.arrived_mask |= uint64_t{1} << current.lane;
  ++wave.arrived;
  Thread& thread = threads_[static_cast<size_t>(running_)];
  thread.site = site;
  thread.state = State::kInWave;
  if (wave.arrived == wave.live)
    finish_meeting(wave, number);  // the last to arrive need not wait
  else
    wait();
  return lanes;
}

void BlockRunner::finish_meeting(Wave& wave, int wave_number) {
  Lanes& lanes = wave.meetings[wave.meeting];
  lanes.present = wave.arrived_mask;
  const Thread* first = nullptr;
  for (int lane = 0; lane < warpSize; ++lane) {
    if ((lanes.present >> lane & 1) == 0) {
      lanes.values[lane] = kPoison64;
      continue;
    }
    Thread& thread = threads_[static_cast<size_t>(wave_number * warpSize + lane)];
    thread.state = State::kReady;
    if (first == nullptr) first = &thread;
    if (thread.site.line != first->site.line)
      fail("lanes of a wave are in different wave operations: " + describe(*first) + ", " + describe(thread));
  }
  wave.meeting ^= 1;
  wave.arrived = 0;
  wave.arrived_mask = 0;
}

// ---- Messages ---------------------------------------------------------------------------------------------

void BlockRunner::fail(const std::string& what) const {
  die("kernel " + launch_->kernel + ", block " + to_string(blockIdx) + ": " + what);
}

std::string BlockRunner::describe(const Thread& thread) const {
  return std::string("thread ") + to_string(thread.index) + " at " + thread.site.file + ":" +
         std::to_string(thread.site.line);
}

void BlockRunner::report_deadlock() const {
  const auto waiting = [this](State state) {
    const auto is = [state](const Thread& thread) { return thread.state == state; };
    const auto count = std::count_if(threads_.begin(), threads_.end(), is);
    if (count == 0) return std::string("none");
    return std::to_string(count) + " (" + describe(*std::find_if(threads_.begin(), threads_.end(), is)) + ")";
  };
  fail("deadlock; threads waiting in a barrier: " + waiting(State::kAtBarrier) +
       "; threads waiting in a wave operation: " + waiting(State::kInWave));
}

// ---- Shared memory ----------------------------------------------------------------------------------------

void BlockRunner::add_shared_array(const SharedArray& array) {
  shared_arrays_.push_back(&array);
  if (array.is_dynamic()) return;
  shared_bytes_ += (array.bytes() + 63) / 64 * 64;
  if (shared_bytes_ > kMaxSharedBytes)
    fail("its shared arrays need more than " + std::to_string(kMaxSharedBytes) +
         " bytes: " + std::to_string(shared_bytes_) + " with '" + array.name() + "'");
}

const char* BlockRunner::shared_array_beside(const void* address) const {
  for (const SharedArray* array : shared_arrays_)
    if (array->guards_hold(address)) return array->name();
  return nullptr;
}

SharedArray::SharedArray(const char* name, size_t bytes)
    : name_(name),
      bytes_(bytes),
      memory_(static_cast<char*>(::operator new(bytes + 2 * kGuardBytes, std::align_val_t(64)))) {
  fill_with_poison(memory_, bytes + 2 * kGuardBytes);
  forbid_access(memory_, kGuardBytes);
  forbid_access(data() + bytes_, kGuardBytes);
}

SharedArray::~SharedArray() {
  allow_access(memory_, bytes_ + 2 * kGuardBytes);
  ::operator delete(memory_, std::align_val_t(64));
}

void SharedArray::begin_block() {
  block_serial_ = current.block_serial;
  fill_with_poison(data(), bytes_);
  this_runner->add_shared_array(*this);
}

bool SharedArray::guards_intact() const {
  return kAddressSanitizer ||
         (holds_poison(memory_, kGuardBytes) && holds_poison(data() + bytes_, kGuardBytes));
}

bool SharedArray::guards_hold(const void* address) const {
  const char* at = static_cast<const char*>(address);
  return (at >= memory_ && at < data()) || (at >= data() + bytes_ && at < data() + bytes_ + kGuardBytes);
}

char* dynamic_shared() {
  thread_local std::unique_ptr<SharedArray> array;
  const size_t bytes = this_runner->dynamic_bytes();
  if (array == nullptr || array->bytes() != bytes) {
    array =
        std::make_unique<SharedArray>(kDynamicName, bytes);  // the first thread of a launch with another size
  }
  array->enter();
  return array->data();
}

// ---- The interface for kernels ----------------------------------------------------------------------------

void barrier(Site site) {
  this_runner->barrier(site);
}

const Lanes& meet(uint64_t value, Site site) {
  return this_runner->meet(value, site);
}

}  // namespace hipgpt::emulated
