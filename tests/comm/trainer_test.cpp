// Tests of a Trainer in several processes, which are threads here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "checkpoint.h"
#include "comm/thread_processes.h"
#include "error_of.h"
#include "token_file.h"
#include "trainer.h"

namespace hipgpt {
namespace {

constexpr ModelConfig kConfig{.vocab_size = 40,
                              .max_seq_len = 8,
                              .embed_dim = 16,
                              .num_heads = 2,
                              .num_layers = 2,
                              .ff_hidden_dim = 24,
                              .activation = Activation::kGelu,
                              .final_layernorm = true};
constexpr int kSteps = 12;

class ProcessesTest : public testing::Test {
 protected:
  ProcessesTest()
      : path_(std::filesystem::temp_directory_path() / ("hipgpt-tokens-" + std::to_string(getpid()))) {
    std::mt19937 random(1);
    std::vector<int32_t> tokens(3000);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 7 * (random() % 6));
    TokenFileWriter writer(path_, kConfig.vocab_size, 0, 0, tokens.size());
    writer.append(tokens);
    writer.commit();
    tokens_ = TokenFile::open(path_);
  }
  ~ProcessesTest() override { std::filesystem::remove(path_); }

  static TrainerOptions options() {
    return {.batch = 7, .grad_accum = 2, .steps = 100, .warmup_steps = 4, .learning_rate = 1e-3f};
  }

  DataLoader loader(const TrainerOptions& options, Communicator& communicator) const {
    return {
        tokens_, 0, 2000, static_cast<int>(Trainer::rows(options, communicator).size()), kConfig.max_seq_len,
        1};
  }

  /// What a process knows at the end.
  struct Result {
    std::vector<float> weights, first_moment;
    std::vector<double> losses;
    double validation, norm;
  };

  Result run(Device& device, Communicator& communicator, const TrainerOptions& options) const {
    GPTModel model(device, kConfig);
    initialize(model, communicator.rank() == 0 ? 5 : 6);  // process 0 has the weights that count
    const DataLoader data = loader(options, communicator);
    const DataLoader val(tokens_, 2000, 3000, data.batch_size(), kConfig.max_seq_len, 1);
    Trainer trainer(model, data, options, communicator);
    trainer.start_at(0);
    Result result{};
    for (int i = 0; i < kSteps; ++i) {
      trainer.train_step();
      result.losses.push_back(trainer.last_step().loss);
    }
    result.norm = trainer.last_step().grad_norm;
    result.validation = evaluate(
        trainer.pass(), val, 3, [] { return false; }, communicator);
    const auto copy = [&](Tensor t) {
      std::vector<float> values(static_cast<size_t>(t.size()));
      device.copy_to_host(values.data(), t);
      return values;
    };
    result.weights = copy(model.weights().flat());
    trainer.read_moments([&](Moment moment, Tensor values) {
      if (moment == Moment::kFirst) result.first_moment = copy(values);
    });
    return result;
  }

  std::vector<Result> run(int size, const TrainerOptions& options) const {
    std::vector<Result> results(static_cast<size_t>(size));
    with_processes(size, [&](Device& device, Communicator& communicator) {
      results[static_cast<size_t>(communicator.rank())] = run(device, communicator, options);
    });
    return results;
  }

  static double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double largest = 0;
    for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
    return largest;
  }

  std::string path_;
  TokenShards tokens_;
};

TEST_F(ProcessesTest, MakeTheStepsOfOne) {
  const auto device = make_device("cpu", 1);
  const Result one = run(*device, single_process(), options());
  for (const bool shard : {false, true}) {
    TrainerOptions chosen = options();
    chosen.shard_optimizer = shard;
    for (const int size : {2, 3}) {
      const std::vector<Result> all = run(size, chosen);
      const Result& first = all[0];
      EXPECT_LT(largest_difference(first.weights, one.weights), 2e-5) << size << " processes, " << shard;
      EXPECT_LT(largest_difference(first.first_moment, one.first_moment), 1e-6)
          << size << " processes, " << shard;
      EXPECT_NEAR(first.validation, one.validation, 1e-5);
      EXPECT_NEAR(first.norm, one.norm, 1e-5);
      for (int i = 0; i < kSteps; ++i)
        EXPECT_NEAR(first.losses[static_cast<size_t>(i)], one.losses[static_cast<size_t>(i)], 1e-5);
      for (const Result& other : all) {
        EXPECT_EQ(other.weights, first.weights) << size << " processes, " << shard;
        EXPECT_EQ(other.losses, first.losses);
        EXPECT_EQ(other.first_moment, first.first_moment);
      }
      const std::vector<Result> again = run(size, chosen);
      EXPECT_EQ(again[0].weights, first.weights) << "two runs differ";
    }
  }
}

TEST_F(ProcessesTest, OtherDropoutMasksInEachProcess) {
  TrainerOptions same = options();
  same.dropout = 0.5f;
  same.batch = 2;
  same.grad_accum = 1;
  // The text has room for one sequence, so both processes have the same rows.
  std::vector<double> losses(2);
  with_processes(2, [&](Device& device, Communicator& communicator) {
    GPTModel model(device, kConfig);
    initialize(model, 5);
    const DataLoader data(tokens_, 0, static_cast<size_t>(kConfig.max_seq_len) + 1, 1, kConfig.max_seq_len,
                          1);
    Trainer trainer(model, data, same, communicator);
    trainer.train_step();
    // The pass still has the batch of the step and its number.
    GPTWeights gradients(device, kConfig);
    float total = 0;
    device.copy_to_host(
        &total, trainer.pass().compute_loss_and_gradients(gradients, 1.0f, {.p = 0.5f, .seed = same.seed}));
    losses[static_cast<size_t>(communicator.rank())] = total;
    trainer.last_step();
  });
  EXPECT_NE(losses[0], losses[1]);
}

TEST_F(ProcessesTest, ContinueWithTheMomentsOfTheLeader) {
  const auto device = make_device("cpu", 1);
  GPTWeights stored(*device, kConfig);
  std::vector<float> values(static_cast<size_t>(stored.size()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) * 1e-3f;
  for (const bool shard : {false, true}) {
    TrainerOptions chosen = options();
    chosen.shard_optimizer = shard;
    with_processes(3, [&](Device& own, Communicator& communicator) {
      GPTModel model(own, kConfig);
      const DataLoader data = loader(chosen, communicator);
      Trainer trainer(model, data, chosen, communicator);
      trainer.start_at(communicator.rank() == 0 ? 9 : 0, [&](Moment moment, const GPTWeights& into) {
        if (moment == Moment::kSecond) own.copy_to_device(into.flat(), values.data());
      });
      EXPECT_EQ(trainer.step(), 9);
      trainer.read_moments([&](Moment moment, Tensor read) {
        std::vector<float> back(values.size());
        own.copy_to_host(back.data(), read);
        EXPECT_EQ(back, moment == Moment::kSecond ? values : std::vector<float>(values.size())) << shard;
      });
    });
  }
}

TEST_F(ProcessesTest, ShardsTakeTheMemoryThatIsSaid) {
  TrainerOptions chosen = options();
  chosen.shard_optimizer = true;
  with_processes(3, [&](Device& device, Communicator& communicator) {
    const GPTModel model(device, kConfig);
    const auto n = static_cast<size_t>(model.weights().size());
    const size_t own = static_cast<size_t>(communicator.slice(model.weights().size()).size());
    EXPECT_EQ(Trainer::bytes(model, chosen, communicator).state, 4 * n + 8 * own);
    EXPECT_LT(own, n / 2);
  });
}

TEST_F(ProcessesTest, RefuseABatchWithFewerRowsThanProcesses) {
  TrainerOptions few = options();
  few.batch = 2;
  with_processes(3, [&](Device&, Communicator& communicator) {
    EXPECT_TRUE(
        says(error_of([&] { Trainer::rows(few, communicator); }), "batch 2: each of the 3 processes"));
  });
}

}  // namespace
}  // namespace hipgpt
