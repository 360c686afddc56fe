// Tests of src/comm in one process: each process of a run is a thread here.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "comm/place.h"
#include "comm/team.h"
#include "comm/thread_processes.h"
#include "error.h"
#include "error_of.h"

namespace hipgpt {
namespace {

// ---- Place --------------------------------------------------------------------------------------------------

/// Sets variables for the duration of a test, in an environment without those of launchers.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
          "TORCHELASTIC_USE_AGENT_STORE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MPI_LOCALNRANKS",
          "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID",
          "SLURM_STEP_ID"}) {
      set(name, nullptr);
    }
    for (const auto& [name, value] : variables) set(name, value.c_str());
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
    }
  }

 private:
  void set(const std::string& name, const char* value) {
    const char* old = std::getenv(name.c_str());
    before_.emplace(name, old == nullptr ? "" : old);
    value == nullptr ? unsetenv(name.c_str()) : setenv(name.c_str(), value, 1);
  }

  std::map<std::string, std::string> before_;
};

TEST(Place, IsTheOnlyProcessWithoutALauncher) {
  const Environment none({});
  EXPECT_EQ(place_in_environment().size, 1);
  EXPECT_EQ(place_in_environment().rank, 0);
}

TEST(Place, ReadsWhatTorchrunSets) {
  std::map<std::string, std::string> variables = {{"RANK", "5"},
                                                  {"WORLD_SIZE", "8"},
                                                  {"LOCAL_RANK", "1"},
                                                  {"LOCAL_WORLD_SIZE", "4"},
                                                  {"MASTER_ADDR", "node1"},
                                                  {"MASTER_PORT", "29500"}};
  {
    const Environment environment(variables);
    const Place place = place_in_environment();
    EXPECT_EQ(place.rank, 5);
    EXPECT_EQ(place.size, 8);
    EXPECT_EQ(place.local_rank, 1);
    EXPECT_EQ(place.local_size, 4);
    EXPECT_EQ(place.leader, "node1");
    EXPECT_EQ(place.port, 29500);
    EXPECT_FALSE(place.mpi);
  }
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";  // torchrun's agent listens on that port
  const Environment environment(variables);
  EXPECT_EQ(place_in_environment().port, 29501);
}

TEST(Place, ReadsWhatSlurmSets) {
  const Environment environment({{"SLURM_STEP_NUM_TASKS", "16"},
                                 {"SLURM_PROCID", "9"},
                                 {"SLURM_LOCALID", "1"},
                                 {"SLURM_STEP_NODELIST", "gpu[07-08]"},
                                 {"SLURM_JOB_ID", "4711"},
                                 {"SLURM_STEP_ID", "0"}});
  const Place place = place_in_environment();
  EXPECT_EQ(place.rank, 9);
  EXPECT_EQ(place.size, 16);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.leader, "gpu07");
  EXPECT_GE(place.port, 20000);
  EXPECT_LT(place.port, 32000);
}

TEST(Place, FindsTheFirstHostOfASlurmList) {
  EXPECT_EQ(first_host("a"), "a");
  EXPECT_EQ(first_host("a,b[1-2]"), "a");
  EXPECT_EQ(first_host("node[07-09,12],x1"), "node07");
  EXPECT_EQ(first_host("rack1-n[3],rack2-n4"), "rack1-n3");
  EXPECT_EQ(first_host(""), "");
}

TEST(Place, NamesAVariableThatIsMissingOrWrong) {
  const std::map<std::string, std::string> good = {
      {"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}};
  for (const auto& [name, value] : std::map<std::string, std::string>{{"RANK", "2"},
                                                                      {"WORLD_SIZE", "two"},
                                                                      {"MASTER_PORT", "70000"},
                                                                      {"LOCAL_RANK", "-1"},
                                                                      {"MASTER_ADDR", ""}}) {
    auto variables = good;
    variables[name] = value;
    const Environment environment(variables);
    EXPECT_TRUE(says(error_of([] { place_in_environment(); }), name)) << name;
  }
}

// ---- Team ---------------------------------------------------------------------------------------------------

TEST(Team, HearsWhatTheLeaderTellsInOrder) {
  with_team(3, [](Team& team) {
    const std::string longest(3'000'000, 'x');  // more than a socket takes at once
    if (team.is_leader()) {
      team.tell("one");
      team.tell("");
      team.tell(longest);
      return;
    }
    EXPECT_EQ(team.hear(), "one");
    EXPECT_EQ(team.hear(), "");
    EXPECT_EQ(team.hear(), longest);
  });
}

TEST(Team, GathersInOrderOfRank) {
  with_team(4, [](Team& team) {
    const auto all = team.gather(std::to_string(team.rank() * 11));
    const std::vector<std::string> wanted = {"0", "11", "22", "33"};
    EXPECT_EQ(all, team.is_leader() ? wanted : std::vector<std::string>());
  });
}

TEST(Team, AddsInOrderOfRank) {
  // 1 + 1e16 loses the 1, so the order shows.
  const double terms[3][2] = {{1.0, 1e16}, {1e16, 1.0}, {-1e16, -1e16}};
  with_team(3, [&](Team& team) {
    double values[2] = {terms[team.rank()][0], terms[team.rank()][1]};
    team.sum(values);
    EXPECT_EQ(values[0], 1.0 + 1e16 - 1e16);
    EXPECT_EQ(values[1], 1e16 + 1.0 - 1e16);
  });
}

/// Rank 1 has received signal 15 and is asked for it five times. Returns how often the leader got it.
int deliveries(bool leader_is_late) {
  std::atomic<int> asked = 0, delivered = 0;
  with_team(2, [&](Team& team) {
    const auto deliver = [&](int signal) {
      EXPECT_EQ(signal, 15);
      ++delivered;
    };
    if (team.is_leader()) {
      if (!leader_is_late) team.forward_signals({}, deliver);
      EXPECT_EQ(team.take_from(1), "asked five times");
      if (leader_is_late) team.forward_signals({}, deliver);
    } else {
      team.forward_signals([&] { return ++asked, 15; }, {});
      while (asked < 5) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      team.send_to_leader("asked five times");
    }
  });
  return delivered;
}

TEST(Team, ForwardsASignalOnce) {
  EXPECT_EQ(deliveries(/*leader_is_late=*/false), 1);
}

TEST(Team, KeepsASignalForALeaderThatIsLate) {
  EXPECT_EQ(deliveries(/*leader_is_late=*/true), 1);
}

TEST(Team, NamesTheProcessesThatDoNotConnect) {
  Team::Listener listener(0);
  Place place;
  place.size = 4;
  const std::string error = error_of([&] {
    Team(
        place, &listener, {}, 42, [](const std::string&) {}, 0.3);
  });
  EXPECT_TRUE(says(error, "3 of 4 processes have not connected")) << error;
  EXPECT_TRUE(says(error, "rank 1, 2, 3")) << error;
}

TEST(Team, NamesALeaderThatCannotBeReached) {
  uint16_t port = 0;
  {
    const Team::Listener listener(0);
    port = listener.port();
  }
  Place place;
  place.size = 2;
  place.rank = 1;
  place.port = port;
  const std::string error = error_of([&] {
    Team(
        place, nullptr, {"127.0.0.1"}, 42, [](const std::string&) {}, 0.3);
  });
  EXPECT_TRUE(says(error, "rank 1 on host")) << error;
  EXPECT_TRUE(says(error, "cannot reach rank 0 at 127.0.0.1")) << error;
}

TEST(Team, NamesAPortThatIsTaken) {
  const Team::Listener first(0);
  const std::string error = error_of([&] { const Team::Listener second(first.port()); });
  EXPECT_TRUE(says(error, std::to_string(first.port()))) << error;
}

/// A process of another run, with another key, does not take the place of one of this run.
TEST(Team, RefusesStrangers) {
  Team::Listener listener(0);
  Place place;
  place.size = 2;
  place.port = listener.port();
  Place other = place;
  other.rank = 1;
  const auto ignore = [](const std::string&) {};
  std::thread stranger([&] {
    EXPECT_TRUE(
        says(error_of([&] { Team(other, nullptr, {"127.0.0.1"}, 41, ignore, 0.5); }), "cannot reach"));
  });
  std::thread follower([&] {
    stranger.join();
    Team team(other, nullptr, {"127.0.0.1"}, 42, ignore);
    team.end();
  });
  Team leader(place, &listener, {}, 42, ignore);
  leader.end();
  follower.join();
}

using TeamDeathTest = testing::Test;

/// Runs rank 0 of 2 in this process, and rank 1 as another process that does `f` and ends.
void lead_one_that(const std::function<void(Team& team)>& f) {
  Team::Listener listener(0);
  Place place;
  place.size = 2;
  place.port = listener.port();
  const auto print = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
  if (fork() == 0) {
    place.rank = 1;
    Team team(place, nullptr, {"127.0.0.1"}, 42, print);
    f(team);
    _exit(0);
  }
  Team team(place, &listener, {}, 42, print);
  std::this_thread::sleep_for(std::chrono::seconds(60));
  _exit(2);  // it did not notice
}

TEST(TeamDeathTest, EndsIfAProcessIsLost) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(lead_one_that([](Team&) {}), testing::ExitedWithCode(1), "rank 1 on host .* has ended");
}

TEST(TeamDeathTest, ReportsWhyAProcessFailed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(lead_one_that([](Team& team) { team.fail("out of luck"); }), testing::ExitedWithCode(1),
              "rank 1 on host .*: out of luck");
}

// ---- Collectives --------------------------------------------------------------------------------------------

/// The term of process r at index i: a sum of such terms depends on their order.
float term(int rank, int64_t i) {
  return static_cast<float>((i * 31 + rank * 17) % 101) * 0.1f + (rank == 1 ? 1e7f : 0.0f);
}

float sum_of_terms(int size, int64_t i) {
  float sum = term(0, i);
  for (int r = 1; r < size; ++r) sum += term(r, i);
  return sum;
}

/// Runs f(communicator, tensor of n terms, its values) for each rank.
void with_communicator(int size, int64_t n,
                       const std::function<void(Communicator&, Tensor, const float*)>& f) {
  with_processes(size, [&](Device& device, Communicator& communicator) {
    Buffer memory(device, static_cast<size_t>(n) * sizeof(float));
    const Tensor t(memory.data(), {n});
    for (int64_t i = 0; i < n; ++i) t.f32()[i] = term(communicator.rank(), i);
    f(communicator, t, t.f32());
  });
}

/// The numbers of elements to add with N processes. One of them takes several pieces.
std::vector<int64_t> sizes(int processes) {
  std::vector<int64_t> sizes = {1, 2, 63, 64, 65, 1000};
  if (processes == 2) sizes.push_back(9'000'001);
  return sizes;
}

TEST(HostCommunicator, AllReduceAddsInOrderOfRank) {
  for (const int size : {2, 3, 4}) {
    for (const int64_t n : sizes(size)) {
      with_communicator(size, n, [&](Communicator& communicator, Tensor t, const float* values) {
        communicator.all_reduce(t);
        communicator.wait();
        int64_t wrong = 0;
        for (int64_t i = 0; i < n; ++i) wrong += values[i] != sum_of_terms(size, i);
        EXPECT_EQ(wrong, 0) << size << " processes, " << n;
      });
    }
  }
}

TEST(HostCommunicator, ReduceScatterAndAllGatherMakeAnAllReduce) {
  for (const int size : {2, 3, 4}) {
    for (const int64_t n : sizes(size)) {
      with_communicator(size, n, [&](Communicator& communicator, Tensor t, const float* values) {
        communicator.reduce_scatter(t);
        communicator.wait();
        const auto own = communicator.slice(n);
        int64_t wrong = 0;
        for (int64_t i = own.begin; i < own.end; ++i) wrong += values[i] != sum_of_terms(size, i);
        communicator.all_gather(t);
        communicator.wait();
        for (int64_t i = 0; i < n; ++i) wrong += values[i] != sum_of_terms(size, i);
        EXPECT_EQ(wrong, 0) << size << " processes, " << n;
      });
    }
  }
}

TEST(HostCommunicator, BroadcastsFromRankZero) {
  with_communicator(3, 1000, [](Communicator& communicator, Tensor t, const float* values) {
    communicator.broadcast(t);
    communicator.wait();
    for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(values[i], term(0, i));
  });
}

TEST(HostCommunicator, KeepsTheOrderOfCollectivesThatOverlap) {
  with_communicator(2, 256, [](Communicator& communicator, Tensor t, const float* values) {
    for (int64_t first = 0; first < 256; first += 64) communicator.all_reduce(t.rows(first, 64));
    communicator.broadcast(t.rows(0, 64));
    communicator.wait();
    for (int64_t i = 0; i < 256; ++i) ASSERT_EQ(values[i], sum_of_terms(2, i));
  });
}

TEST(Communicator, SharesAndSlicesAreCompleteAndDisjoint) {
  for (const int size : {2, 3, 5}) {
    with_communicator(size, 1, [&](Communicator& communicator, Tensor, const float*) {
      for (const int64_t count : {0, 1, 7, 64, 1000, 12345}) {
        int64_t share_end = 0, slice_end = 0;
        for (int r = 0; r < size; ++r) {
          EXPECT_EQ(communicator.share(count, r).begin, share_end);
          EXPECT_EQ(communicator.slice(count, r).begin, slice_end);
          share_end = communicator.share(count, r).end;
          slice_end = communicator.slice(count, r).end;
          EXPECT_LE(communicator.share(count, r).size(), count / size + 1);
        }
        EXPECT_EQ(share_end, count);
        EXPECT_EQ(slice_end, count);
      }
    });
  }
}

}  // namespace
}  // namespace hipgpt
