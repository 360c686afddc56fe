// Damages the files of a trained model, by flipping a thousand bits of each and by truncation to every
// length. The result is an Error or, for a file without a checksum, something that a checksum elsewhere
// detects.
#include <random>

#include "checkpoint.h"
#include "checkpoint/write_checkpoint.h"
#include "test_files.h"
#include "token_file.h"
#include "tokenizer.h"
#include "util/atomic_file.h"

namespace hipgpt {
namespace {

constexpr int kFlips = 1000;

/// The three files of a minimal model, and a tokenizer.
class DamageTest : public FilesTest {
 protected:
  DamageTest() : device_(make_device("cpu", 1)) {
    config_.vocab_size = tokenizer_.vocab_size();
    config_.max_seq_len = config_.embed_dim = 2;
    config_.num_heads = config_.num_layers = config_.ff_hidden_dim = 1;
    GPTModel model(*device_, config_);
    initialize(model, 1);
    save_checkpoint(model);
    TokenFileWriter tokens(path("tokens"), static_cast<uint64_t>(config_.vocab_size), tokenizer_.hash(), 1,
                           2);
    tokens.append(tokenizer_.encode(kText));
    tokens.commit();
    write_all(path("tokenizer"), tokenizer_.to_json());
  }

  /// Calls use(bit) for each of kFlips random bits while that bit of the file is flipped.
  template <typename Use>
  void with_flipped_bits(const std::string& name, const Use& use) {
    const std::string good = read_all(path(name));
    std::fstream file(path(name), std::ios::binary | std::ios::in | std::ios::out);
    const auto put = [&](size_t at, int byte) {
      file.seekp(static_cast<std::streamoff>(at)).put(static_cast<char>(byte)).flush();
    };
    std::mt19937 random(2);
    for (int i = 0; i < kFlips; ++i) {
      const size_t bit = random() % (8 * good.size());
      put(bit / 8, good[bit / 8] ^ (1 << bit % 8));
      use(bit);
      put(bit / 8, good[bit / 8]);
    }
  }

  /// Calls use(length) with the file cut to each length, the longest first.
  template <typename Use>
  void with_each_length(const std::string& name, const Use& use) {
    const std::string good = read_all(path(name));
    for (size_t length = good.size(); length-- > 0;) {
      std::filesystem::resize_file(path(name), length);
      use(length);
    }
    write_all(path(name), good);
  }

  /// Expects a file with checksums to open when intact and never when damaged.
  template <typename Open>
  void expect_all_damage_noticed(const std::string& name, const Open& open) {
    ASSERT_EQ(error_of(open), "");
    const auto expect_refused = [&](size_t place) {
      EXPECT_TRUE(says(error_of(open), path(name) + ": ")) << "bit or length " << place;
    };
    with_flipped_bits(name, expect_refused);
    with_each_length(name, expect_refused);
    EXPECT_EQ(error_of(open), "");
  }

  void save_checkpoint(const GPTModel& model) const {
    AtomicFile weights(path("checkpoint")), optimizer(path("optimizer"));
    const HostWeights on_host(*device_, model.weights());
    const std::string checksum = write_checkpoint(weights, on_host, {config_, tokenizer_.hash(), 7});
    write_optimizer(optimizer, on_host, on_host, {7, checksum, 1, {{"steps", {"7"}}}});
    weights.commit();
    optimizer.commit();
  }

  static constexpr const char* kText = "to be or not to be, that is the question <|endoftext|>";

  std::unique_ptr<Device> device_;
  Tokenizer tokenizer_ = Tokenizer::train(
      kText, {.vocab_size = 270, .special_tokens = {"<|endoftext|>"}, .threads = 1, .progress = {}});
  ModelConfig config_;
};

TEST_F(DamageTest, DamageToACheckpointIsAlwaysDetected) {
  expect_all_damage_noticed("checkpoint", [&] { Checkpoint::open(path("checkpoint")); });
}

TEST_F(DamageTest, DamageToAnOptimizerFileIsAlwaysDetected) {
  const GPTWeights values(*device_, config_);
  expect_all_damage_noticed("optimizer", [&] {
    const OptimizerFile file = OptimizerFile::open(path("optimizer"));
    for (const Moment moment : kMoments) file.load(moment, values, *device_);
  });
}

TEST_F(DamageTest, DamageToATokenFileIsAlwaysDetected) {
  expect_all_damage_noticed("tokens", [&] { TokenFile::open(path("tokens")); });
}

/// tokenizer.json has no checksum, because other programs write it too. The checkpoint stores its hash: a
/// damaged tokenizer that loads and has the right hash must do what the original does.
TEST_F(DamageTest, DamageToATokenizerIsDetectedOrHarmless) {
  const Checkpoint checkpoint = Checkpoint::open(path("checkpoint"));
  const auto ids = tokenizer_.encode(kText);
  int refused = 0, other = 0, harmless = 0;
  const auto check = [&](size_t place) {
    std::optional<Tokenizer> damaged;
    const std::string error = error_of([&] { damaged = Tokenizer::load(path("tokenizer")); });
    if (!damaged) {
      ++refused;
      EXPECT_TRUE(says(error, path("tokenizer") + ": ")) << place;
    } else if (!error_of([&] {
                  checkpoint.check_tokenizer(damaged->hash(), damaged->vocab_size(), "its name");
                }).empty()) {
      ++other;
    } else {
      ++harmless;
      EXPECT_EQ(damaged->encode(kText), ids) << place;
      EXPECT_EQ(damaged->decode(ids), kText) << place;
    }
  };
  with_flipped_bits("tokenizer", check);
  EXPECT_GT(refused, kFlips / 2);
  EXPECT_GT(other, 0);
  EXPECT_GT(harmless, 0);
  const int harmless_flips = harmless;
  with_each_length("tokenizer", check);
  EXPECT_LE(harmless - harmless_flips, 1);  // only the last line feed may be missing
}

}  // namespace
}  // namespace hipgpt
