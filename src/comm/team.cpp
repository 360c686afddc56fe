#include "comm/team.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "error.h"

namespace hipgpt {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kBeat = std::chrono::seconds(1);
constexpr auto kLongestSilence = std::chrono::seconds(15);
constexpr milliseconds kPoll(100);
constexpr milliseconds kToArrive(200);  // for a last message, because exiting discards what has not been sent
constexpr uint32_t kLongestMessage = 1u << 28;
constexpr size_t kHeader = 5;  // the payload's size and the kind
constexpr std::string_view kMagic = "hipgpt-1";

/// What each process says first: its rank, and what must be equal for all.
struct Hello {
  char magic[8];
  uint64_t key;
  int32_t rank, size;
};

Clock::time_point in_seconds(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

std::string frame(uint8_t kind, std::string_view payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string bytes(kHeader, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  bytes[4] = static_cast<char>(kind);
  return bytes.append(payload);
}

void set_options(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// Reads exactly `size` bytes, or returns false at the end of the time or of the connection.
bool read_exactly(int socket, void* data, size_t size, Clock::time_point until) {
  auto* bytes = static_cast<char*>(data);
  while (size > 0) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    pollfd event{socket, POLLIN, 0};
    if (left <= 0 || ::poll(&event, 1, static_cast<int>(left)) <= 0) return false;
    const ssize_t count = ::recv(socket, bytes, size, 0);
    if (count <= 0) return false;
    bytes += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

bool write_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

/// A connected socket, or -1.
int connect_to(const addrinfo& address, milliseconds limit) {
  const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  int error = ::connect(socket, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd event{socket, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (::poll(&event, 1, static_cast<int>(limit.count())) <= 0 ||
        ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
      error = ETIMEDOUT;
    }
  }
  if (error != 0) {
    ::close(socket);
    return -1;
  }
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) & ~O_NONBLOCK);
  set_options(socket);
  return socket;
}

int connect_to(const std::string& host, uint16_t port, milliseconds limit) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return -1;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int socket = connect_to(*address, limit);
    if (socket >= 0) return socket;
  }
  return -1;
}

}  // namespace

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::vector<std::string> own_addresses() {
  std::vector<std::string> result = {host_name()};
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) == 0) {
    for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
      if (i->ifa_addr == nullptr || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP)) continue;
      if (i->ifa_addr->sa_family != AF_INET) continue;
      char text[INET_ADDRSTRLEN];
      const auto* address = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
      if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) result.emplace_back(text);
    }
    ::freeifaddrs(list);
  }
  result.emplace_back("127.0.0.1");
  return result;
}

Team::Listener::Listener(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  socklen_t size = sizeof address;
  if (socket_ < 0 || ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket_, SOMAXCONN) != 0 ||
      ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    if (socket_ >= 0) ::close(socket_);
    throw Error(fmt::format("port {}: rank 0 cannot listen there for the other processes: {}", port,
                            std::strerror(error)));
  }
  port_ = ntohs(address.sin_port);
}

Team::Listener::~Listener() {
  ::close(socket_);
}

Team::Team(const Place& place, Listener* listener, const std::vector<std::string>& leaders, uint64_t key,
           std::function<void(const std::string&)> report, double seconds)
    : place_(place), hosts_(static_cast<size_t>(place.size)), report_(std::move(report)) {
  hosts_[static_cast<size_t>(rank())] = host_name();
  if (size() == 1) return;
  if (is_leader()) {
    accept_all(listener->socket_, key, seconds);
  } else {
    connect_to_leader(leaders, key, seconds);
  }
  for (Peer& peer : peers_) peer.heard = Clock::now();
  watcher_ = std::thread([this] { watch(); });
}

Team::~Team() {
  stop_ = true;
  if (watcher_.joinable()) watcher_.join();
  for (Peer& peer : peers_) ::close(peer.socket);
}

std::string Team::name(int rank) const {
  const std::string& host = hosts_[static_cast<size_t>(rank)];
  return host.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} on host {}", rank, host);
}

// ---- Connecting ---------------------------------------------------------------------------------------------

void Team::accept_all(int listener, uint64_t key, double seconds) {
  const auto until = in_seconds(seconds);
  std::vector<int> sockets(static_cast<size_t>(size()), -1);
  int missing = size() - 1;
  while (missing > 0) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    pollfd event{listener, POLLIN, 0};
    if (left <= 0 || ::poll(&event, 1, static_cast<int>(left)) == 0) {
      std::string ranks;
      for (size_t r = 1; r < sockets.size(); ++r) {
        if (sockets[r] < 0) ranks += fmt::format("{}{}", ranks.empty() ? "" : ", ", r);
      }
      for (const int socket : sockets) {
        if (socket >= 0) ::close(socket);
      }
      throw Error(
          fmt::format("{} of {} processes have not connected to rank 0 on host {} within {:g} s: rank {}",
                      missing, size(), hosts_[0], seconds, ranks));
    }
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    set_options(socket);
    Hello hello{};
    char host[256] = "";
    const auto soon = std::min(until, Clock::now() + std::chrono::seconds(5));
    const bool ours = read_exactly(socket, &hello, sizeof hello, soon) &&
                      std::memcmp(hello.magic, kMagic.data(), sizeof hello.magic) == 0 && hello.key == key &&
                      hello.size == size() && hello.rank > 0 && hello.rank < size() &&
                      read_exactly(socket, host, sizeof host, soon) &&
                      sockets[static_cast<size_t>(hello.rank)] < 0;
    if (!ours || !write_all(socket, std::string_view(reinterpret_cast<const char*>(&key), sizeof key))) {
      ::close(socket);  // a stranger
      continue;
    }
    host[sizeof host - 1] = '\0';
    sockets[static_cast<size_t>(hello.rank)] = socket;
    hosts_[static_cast<size_t>(hello.rank)] = host;
    --missing;
  }
  for (int r = 1; r < size(); ++r) {
    Peer& peer = peers_.emplace_back();
    peer.rank = r;
    peer.socket = sockets[static_cast<size_t>(r)];
  }
  // All processes learn all names, for messages.
  std::string names;
  for (const std::string& host : hosts_) names += host + '\n';
  for (Peer& peer : peers_) send(peer, Kind::kHello, names);
}

/// The leader may start later than this process.
void Team::connect_to_leader(const std::vector<std::string>& leaders, uint64_t key, double seconds) {
  const auto until = in_seconds(seconds);
  Hello hello{{}, key, rank(), size()};
  std::memcpy(hello.magic, kMagic.data(), sizeof hello.magic);
  std::string greeting(reinterpret_cast<const char*>(&hello), sizeof hello);
  greeting += host_name();
  greeting.resize(sizeof hello + 256);
  for (;;) {
    for (const std::string& leader : leaders) {
      const int socket = connect_to(leader, place_.port, milliseconds(3000));
      if (socket < 0) continue;
      uint64_t answer = 0;
      // The leader answers when it comes to this connection, which may be after hundreds of others.
      if (write_all(socket, greeting) &&
          read_exactly(socket, &answer, sizeof answer,
                       std::min(until, Clock::now() + std::chrono::seconds(30))) &&
          answer == key) {
        Peer& peer = peers_.emplace_back();
        peer.rank = 0;
        peer.socket = socket;
        return;
      }
      ::close(socket);
    }
    if (Clock::now() > until) {
      throw Error(fmt::format("rank {} on host {}: cannot reach rank 0 at {}, port {}, within {:g} s", rank(),
                              hosts_[static_cast<size_t>(rank())], fmt::join(leaders, " or "), place_.port,
                              seconds));
    }
    std::this_thread::sleep_for(milliseconds(200));
  }
}

// ---- Messages -----------------------------------------------------------------------------------------------

/// A failure to send shows as one to receive, in the watching thread.
void Team::send(Peer& peer, Kind kind, std::string_view payload) {
  const std::lock_guard lock(peer.sending);
  write_all(peer.socket, frame(static_cast<uint8_t>(kind), payload));
}

/// Does not wait for a peer that takes nothing.
void Team::beat(Peer& peer) {
  const std::unique_lock lock(peer.sending, std::try_to_lock);
  pollfd event{peer.socket, POLLOUT, 0};
  if (lock && ::poll(&event, 1, 0) == 1 && (event.revents & POLLOUT) != 0) {
    write_all(peer.socket, frame(static_cast<uint8_t>(Kind::kBeat), {}));
  }
}

void Team::tell(std::string_view message) {
  for (Peer& peer : peers_) send(peer, Kind::kMessage, message);
}

std::string Team::hear() {
  return next_message(peers_.front());
}

std::string Team::next_message(Peer& peer) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !peer.messages.empty(); });
  std::string message = std::move(peer.messages.front());
  peer.messages.pop_front();
  return message;
}

void Team::send_to_leader(std::string_view message) {
  send(peers_.front(), Kind::kMessage, message);
}

std::string Team::take_from(int rank) {
  return next_message(peers_[static_cast<size_t>(rank - 1)]);
}

std::vector<std::string> Team::gather(std::string_view mine) {
  if (!is_leader()) {
    send_to_leader(mine);
    return {};
  }
  std::vector<std::string> all = {std::string(mine)};
  for (int r = 1; r < size(); ++r) all.push_back(take_from(r));
  return all;
}

void Team::sum(std::span<double> values) {
  if (size() == 1) return;
  const std::string_view mine(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  std::string total;
  if (is_leader()) {
    for (const std::string& text : gather(mine)) {
      if (text.size() != mine.size()) throw Error("internal error: processes add sums of different sizes");
      if (total.empty()) {
        total = text;
        continue;
      }
      for (size_t i = 0; i < values.size(); ++i) {
        double a, b;
        std::memcpy(&a, total.data() + i * sizeof a, sizeof a);
        std::memcpy(&b, text.data() + i * sizeof b, sizeof b);
        a += b;
        std::memcpy(total.data() + i * sizeof a, &a, sizeof a);
      }
    }
    tell(total);
  } else {
    gather(mine);
    total = hear();
  }
  std::memcpy(values.data(), total.data(), values.size_bytes());
}

void Team::end() {
  for (Peer& peer : peers_) send(peer, Kind::kEnd, {});
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    for (const Peer& peer : peers_) {
      if (!peer.ended) return false;
    }
    return true;
  });
}

void Team::fail(const std::string& why) {
  for (Peer& peer : peers_) send(peer, Kind::kFailed, why);
  std::this_thread::sleep_for(kToArrive);
}

void Team::forward_signals(std::function<int()> received, std::function<void(int)> deliver) {
  const std::lock_guard lock(mutex_);
  signal_received_ = std::move(received);
  signal_deliver_ = std::move(deliver);
  for (const int signal : std::exchange(early_signals_, {})) signal_deliver_(signal);
}

// ---- The thread that watches --------------------------------------------------------------------------------

void Team::watch() {
  std::vector<pollfd> events(peers_.size());
  auto last_beat = Clock::now(), last_turn = last_beat;
  while (!stop_) {
    for (size_t i = 0; i < events.size(); ++i)
      events[i] = {peers_[i].ended ? -1 : peers_[i].socket, POLLIN, 0};
    ::poll(events.data(), events.size(), static_cast<int>(kPoll.count()));
    const auto now = Clock::now();
    // If this process itself was stopped for a while, it knows nothing about the others.
    const bool was_stopped = now - last_turn > 5 * kBeat;
    last_turn = now;
    for (size_t i = 0; i < events.size(); ++i) {
      if (was_stopped) peers_[i].heard = now;
      if (events[i].fd >= 0 && events[i].revents != 0) receive(peers_[i]);
    }
    if (now - last_beat >= kBeat) {
      last_beat = now;
      for (Peer& peer : peers_) {
        if (!peer.ended) beat(peer);
      }
    }
    for (const Peer& peer : peers_) {
      if (!peer.ended && now - peer.heard > kLongestSilence) {
        lost(peer, fmt::format("has not answered for {} s: it hangs, or the network to it is down",
                               kLongestSilence.count()));
      }
    }
    forward_signal();
  }
}

void Team::receive(Peer& peer) {
  char bytes[65536];
  const ssize_t count = ::recv(peer.socket, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count == 0 || (count < 0 && errno == ECONNRESET)) lost(peer, "has ended");
  if (count < 0) lost(peer, fmt::format("cannot be reached: {}", std::strerror(errno)));
  peer.heard = Clock::now();
  peer.received.append(bytes, static_cast<size_t>(count));
  size_t used = 0;
  while (peer.received.size() - used >= kHeader) {
    uint32_t size;
    std::memcpy(&size, peer.received.data() + used, sizeof size);
    if (size > kLongestMessage) lost(peer, "sends messages that this program does not know");
    if (peer.received.size() - used < kHeader + size) break;
    const auto kind = static_cast<Kind>(peer.received[used + 4]);
    handle(peer, kind, std::string_view(peer.received).substr(used + kHeader, size));
    used += kHeader + size;
  }
  peer.received.erase(0, used);
}

void Team::handle(Peer& peer, Kind kind, std::string_view payload) {
  const std::lock_guard lock(mutex_);
  if (kind == Kind::kMessage) peer.messages.emplace_back(payload);
  if (kind == Kind::kEnd) peer.ended = true;
  if (kind == Kind::kHello) {
    for (std::string& host : hosts_) {
      const size_t end = payload.find('\n');
      host = payload.substr(0, end);
      payload.remove_prefix(end + 1);
    }
  }
  if (kind == Kind::kSignal && payload.size() == sizeof(int)) {
    int signal;
    std::memcpy(&signal, payload.data(), sizeof signal);
    if (signal_deliver_) {
      signal_deliver_(signal);
    } else {
      early_signals_.push_back(signal);
    }
  }
  if (kind == Kind::kFailed) {
    if (is_leader()) report_(fmt::format("{}: {}", name(peer.rank), payload));
    leave();
  }
  changed_.notify_all();
}

void Team::lost(const Peer& peer, const std::string& how) {
  report_(fmt::format("{} {}; the run ends, and its last checkpoint is kept", name(peer.rank), how));
  leave();
}

/// Ends this process, whose own computation may wait for a lost one for ever, and the others. Files are
/// replaced atomically, so the last checkpoint stays whole.
void Team::leave() {
  for (const Peer& peer : peers_) {
    const std::string bytes = frame(static_cast<uint8_t>(Kind::kFailed), {});
    [[maybe_unused]] const ssize_t sent =
        ::send(peer.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  std::this_thread::sleep_for(kToArrive);
  ::_exit(1);
}

void Team::forward_signal() {
  if (is_leader()) return;
  const std::lock_guard lock(mutex_);
  const int signal = signal_received_ ? signal_received_() : 0;
  if (signal == std::exchange(signal_sent_, signal) || signal == 0) return;
  send(peers_.front(), Kind::kSignal,
       std::string_view(reinterpret_cast<const char*>(&signal), sizeof signal));
}

}  // namespace hipgpt
