// The only file that calls MPI.
#include <mpi.h>

#include <cstring>
#include <vector>

#include "comm/mpi.h"
#include "error.h"

namespace hipgpt {

namespace {

class MpiModule final : public Mpi {
 public:
  MpiModule() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    if (provided < MPI_THREAD_SERIALIZED) throw Error("this MPI library does not support threads");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm local;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local);
    MPI_Comm_rank(local, &local_rank_);
    MPI_Comm_size(local, &local_size_);
    MPI_Comm_free(&local);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }

  std::string version() const override {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(text, &length);
    std::string first_line(text, std::strcspn(text, ",\n"));
    for (char& c : first_line) c = c == '\t' ? ' ' : c;
    return first_line;
  }

  void broadcast(void* data, size_t bytes) override {
    constexpr size_t kMost = 1 << 30;
    auto* next = static_cast<char*>(data);
    for (size_t left = bytes; left > 0;) {
      const size_t now = left < kMost ? left : kMost;
      MPI_Bcast(next, static_cast<int>(now), MPI_CHAR, 0, MPI_COMM_WORLD);
      next += now;
      left -= now;
    }
  }

  void exchange(const float* block, std::span<const Part> parts, float* received) override {
    const Lists sent(parts);
    const int mine = sent.counts[static_cast<size_t>(rank_)];
    std::vector<int> counts(parts.size(), mine), offsets;
    for (size_t r = 0; r < parts.size(); ++r) offsets.push_back(static_cast<int>(r) * mine);
    MPI_Alltoallv(block, sent.counts.data(), sent.offsets.data(), MPI_FLOAT, received, counts.data(),
                  offsets.data(), MPI_FLOAT, MPI_COMM_WORLD);
  }

  void gather(float* block, std::span<const Part> parts) override {
    const Lists lists(parts);
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, block, lists.counts.data(), lists.offsets.data(), MPI_FLOAT,
                   MPI_COMM_WORLD);
  }

  void finish() override { MPI_Finalize(); }

 private:
  struct Lists {
    std::vector<int> counts, offsets;
    explicit Lists(std::span<const Part> parts) {
      for (const Part& part : parts) {
        counts.push_back(part.end - part.begin);
        offsets.push_back(part.begin);
      }
    }
  };

  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
};

}  // namespace

}  // namespace hipgpt

extern "C" __attribute__((visibility("default"))) hipgpt::Mpi* hipgpt_start_mpi() {
  return new hipgpt::MpiModule();
}
