#include "comm/processes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <thread>

#include "comm/gpu_communicator.h"
#include "comm/host_communicator.h"
#include "error.h"
#include "util/available_cores.h"
#include "util/json.h"
#include "util/mapped_file.h"

namespace hipgpt {

Processes::Processes(const std::function<void(const std::string&)>& report)
    : report_(report), place_(place_in_environment()) {
  if (place_.mpi) {
    mpi_ = start_mpi();
    place_.rank = mpi_->rank();
    place_.size = mpi_->size();
    place_.local_rank = mpi_->local_rank();
    place_.local_size = mpi_->local_size();
  }
  std::optional<Team::Listener> listener;
  if (place_.size > 1 && is_leader()) listener.emplace(place_.port);
  std::vector<std::string> leaders = {place_.leader};
  uint64_t key = 0;  // a launcher that names a port has chosen one for this run
  if (mpi_ && place_.size > 1) {
    std::string told;
    if (is_leader()) {
      told =
          fmt::format("{} {} {}", listener->port(), std::random_device()(), fmt::join(own_addresses(), " "));
    }
    told.resize(4096, ' ');
    mpi_->broadcast(told.data(), told.size());
    std::istringstream words(told);
    words >> place_.port >> key;
    leaders.assign(std::istream_iterator<std::string>(words), {});
  }
  team_ = std::make_unique<Team>(place_, listener ? &*listener : nullptr, leaders, key, report);
}

std::string Processes::device(const std::string& name) const {
  if (size() == 1 || (name != "auto" && name != "hip")) return name;
  int gpus = 0;
  for (const DeviceInfo& info : list_devices()) gpus += info.name.starts_with("hip:") && info.usable;
  // A launcher may show each process one GPU only.
  if (gpus <= 1) return name;
  if (place_.local_rank >= gpus) {
    throw Error(
        fmt::format("{} is process {} of this host, which has {} GPUs: start one process for each GPU",
                    team_->name(place_.rank), place_.local_rank + 1, gpus));
  }
  return fmt::format("hip:{}", place_.local_rank);
}

int Processes::threads(int chosen) const {
  if (chosen != 0 || place_.local_size == 1) return chosen;
  std::vector<int> processors(std::thread::hardware_concurrency());
  std::iota(processors.begin(), processors.end(), 0);
  const int cores = available_cores(), all = physical_cores(processors);
  return cores < all ? 0 : std::max(1, cores / place_.local_size);
}

Communicator& Processes::connect(Device& device) {
  if (size() == 1) return single_process();
  const std::string problem = first_problem(why_no_gpu_communicator(device));
  if (problem.empty()) {
    communicator_ = make_gpu_communicator(device, *team_);
  } else if (mpi_) {
    communicator_ = make_host_communicator(device, *team_, *mpi_);
  } else {
    throw Error(fmt::format(
        "{}, and there is no MPI: start the processes with mpirun, or with srun and MPI's plugin", problem));
  }
  return *communicator_;
}

std::string Processes::first_problem(const std::string& mine) {
  const std::vector<std::string> all = team_->gather(mine);
  if (!is_leader()) return team_->hear();
  std::string first;
  for (size_t rank = 0; rank < all.size() && first.empty(); ++rank) {
    if (!all[rank].empty()) first = fmt::format("{}: {}", team_->name(static_cast<int>(rank)), all[rank]);
  }
  team_->tell(first);
  return first;
}

void Processes::agree(const Facts& mine) {
  if (size() == 1) return;
  JsonValue facts = JsonValue::Object();
  for (const auto& [name, value] : mine) facts.set(name, value);
  const std::vector<std::string> all = team_->gather(facts.dump());
  if (!is_leader()) return;
  facts = parse_json(all[0]);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    const JsonValue theirs = parse_json(all[rank]);
    if (theirs == facts) continue;
    const auto value_of = [](const JsonValue& values, const std::string& name) {
      const JsonValue* value = values.find(name);
      return value == nullptr ? "missing" : value->as_string();
    };
    for (const JsonValue& some : {facts, theirs}) {
      for (const auto& fact : some.members()) {
        const std::string own = value_of(facts, fact.name), other = value_of(theirs, fact.name);
        if (other == own) continue;
        throw Error(fmt::format("{}: its {} is {}, but that of rank 0 is {}; all processes need the same",
                                team_->name(static_cast<int>(rank)), fact.name, other, own));
      }
    }
  }
}

int Processes::run(const std::function<int()>& f) {
  try {
    const int status = f();
    if (size() > 1) team_->end();
    communicator_.reset();
    if (mpi_) mpi_->finish();
    return status;
  } catch (const std::exception& error) {
    if (size() == 1) throw;
    if (is_leader()) report_(error.what());
    team_->fail(error.what());
    static_cast<void>(communicator_.release());  // to end it would wait for the others
    return 1;
  }
}

std::string program_hash() {
  const MappedFile file("/proc/self/exe", MappedFile::Access::kSequential);
  return fmt::format("{:016x}", XXH3_64bits(file.text().data(), file.text().size()));
}

}  // namespace hipgpt
