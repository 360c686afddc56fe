// Team: the processes of a run, connected for short messages and to notice that one is lost.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "comm/place.h"

namespace hipgpt {

/// Each process has a TCP connection to the leader, process 0. Every second each end sends a beat. A process
/// whose connection closes, or that is silent for 15 seconds, is lost: the leader prints its rank and host,
/// and all processes exit with status 1. Collectives on tensors cannot do this, because they wait for ever.
///
/// A thread receives, so that a process may compute or wait as long as it likes.
class Team {
 public:
  /// The leader's end of the connections to come. It exists before the leader's address is made known.
  class Listener {
   public:
    /// Port 0: any. Throws Error if the port is taken.
    explicit Listener(uint16_t port);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    uint16_t port() const { return port_; }

   private:
    friend class Team;
    int socket_;
    uint16_t port_;
  };

  /// Connects all processes; the leader passes its Listener. `leaders` are the names and addresses of the
  /// leader's host, which are tried in turn. `key` is the same for all processes of a run. `report` prints
  /// why the run ends, before the process exits. Throws Error, naming those that are missing, after
  /// `seconds`.
  Team(const Place& place, Listener* listener, const std::vector<std::string>& leaders, uint64_t key,
       std::function<void(const std::string&)> report, double seconds = 120);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  bool is_leader() const { return rank() == 0; }

  /// "rank 2 on host b".
  std::string name(int rank) const;

  /// The leader sends a message to all others. Each of them hears the messages in order.
  void tell(std::string_view message);
  std::string hear();

  /// A process sends the leader a message, and the leader takes the next one of a process.
  void send_to_leader(std::string_view message);
  std::string take_from(int rank);

  /// Each process gives a text. The leader receives all of them, in order of rank; the others nothing.
  std::vector<std::string> gather(std::string_view mine);

  /// values = their sums over all processes, added in order of rank.
  void sum(std::span<double> values);

  /// All processes call this last. It returns when all have called it.
  void end();

  /// Ends all other processes, because this one has failed. The leader reports why.
  void fail(const std::string& why);

  /// From now on, each process but the leader asks `received` for a signal's number, several times a second,
  /// and the leader gets every number but 0 once, by `deliver`, including one that was sent before it called this.
  void forward_signals(std::function<int()> received, std::function<void(int)> deliver);

 private:
  enum class Kind : uint8_t { kBeat, kHello, kMessage, kSignal, kEnd, kFailed };

  /// The connection to one process.
  struct Peer {
    int rank = -1;
    int socket = -1;
    std::string host;
    std::string received;              // bytes of incomplete frames
    std::deque<std::string> messages;  // guarded by mutex_
    bool ended = false;                // guarded by mutex_
    std::chrono::steady_clock::time_point heard{};
    std::mutex sending;
  };

  void accept_all(int listener, uint64_t key, double seconds);
  void connect_to_leader(const std::vector<std::string>& leaders, uint64_t key, double seconds);
  void send(Peer& peer, Kind kind, std::string_view payload);
  void beat(Peer& peer);
  std::string next_message(Peer& peer);
  void watch();
  void receive(Peer& peer);
  void handle(Peer& peer, Kind kind, std::string_view payload);
  [[noreturn]] void lost(const Peer& peer, const std::string& how);
  [[noreturn]] void leave();
  void forward_signal();

  Place place_;
  std::vector<std::string> hosts_;  // of every rank, as far as known
  std::deque<Peer> peers_;          // the leader's: ranks 1 to N-1; another's: the leader
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<int()> signal_received_;     // guarded by mutex_
  std::function<void(int)> signal_deliver_;  // guarded by mutex_
  std::vector<int> early_signals_;           // that came before signal_deliver_; guarded by mutex_
  int signal_sent_ = 0;
  std::function<void(const std::string&)> report_;
  std::atomic<bool> stop_ = false;
  std::thread watcher_;
};

/// The name of this host.
std::string host_name();

/// Names and addresses at which other hosts, and then this one, may reach this host.
std::vector<std::string> own_addresses();

}  // namespace hipgpt
