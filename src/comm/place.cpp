#include "comm/place.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>

#include "comm/mpi.h"
#include "error.h"

namespace hipgpt {

namespace {

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

/// A whole number from `lowest` to `highest`.
int64_t number(const char* name, int64_t lowest, int64_t highest) {
  const auto text = variable(name);
  if (!text) throw Error(fmt::format("the environment has no {}, which the launcher must set", name));
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size() || value < lowest || value > highest) {
    throw Error(fmt::format("the environment's {} is '{}': it must be a number from {} to {}", name, *text,
                            lowest, highest));
  }
  return value;
}

constexpr int64_t kMostProcesses = 65536;

int count_of(const char* name) {
  return static_cast<int>(number(name, 1, kMostProcesses));
}

int rank_of(const char* name, int size) {
  return static_cast<int>(number(name, 0, size - 1));
}

/// torchrun's agent itself listens on MASTER_PORT and says so, so the leader takes the next port.
Place of_torchrun() {
  Place place;
  place.size = count_of("WORLD_SIZE");
  place.rank = rank_of("RANK", place.size);
  if (variable("LOCAL_RANK")) place.local_rank = rank_of("LOCAL_RANK", place.size);
  if (variable("LOCAL_WORLD_SIZE")) place.local_size = count_of("LOCAL_WORLD_SIZE");
  if (place.size == 1) return place;
  place.leader = variable("MASTER_ADDR").value_or("");
  if (place.leader.empty()) throw Error("the environment has no MASTER_ADDR, which the launcher must set");
  const bool taken = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.port = static_cast<uint16_t>(number("MASTER_PORT", 1, 65534) + (taken ? 1 : 0));
  return place;
}

Place of_slurm() {
  Place place;
  place.size = count_of("SLURM_STEP_NUM_TASKS");
  place.rank = rank_of("SLURM_PROCID", place.size);
  place.local_rank = rank_of("SLURM_LOCALID", place.size);
  if (place.size == 1) return place;
  place.leader = first_host(variable("SLURM_STEP_NODELIST").value_or(""));
  if (place.leader.empty()) throw Error("the environment has no SLURM_STEP_NODELIST, which srun must set");
  // A port that no other step of these hosts is likely to use, below Linux's ephemeral ones.
  const int64_t job = number("SLURM_JOB_ID", 0, INT64_MAX), step = number("SLURM_STEP_ID", 0, UINT32_MAX);
  place.port = static_cast<uint16_t>(20000 + (job * 7 + step) % 12000);
  return place;
}

}  // namespace

std::string first_host(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const size_t end = list.find_first_of(",-]", bracket);
  return list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1);
}

Place place_in_environment() {
  if (variable("RANK") && variable("WORLD_SIZE")) return of_torchrun();
  const bool slurm = variable("SLURM_STEP_NUM_TASKS") && variable("SLURM_PROCID");
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MPI_LOCALNRANKS"}) {
    if (variable(name) && (has_mpi() || !slurm)) {
      Place place;
      place.mpi = true;
      return place;
    }
  }
  return slurm ? of_slurm() : Place{};
}

}  // namespace hipgpt
