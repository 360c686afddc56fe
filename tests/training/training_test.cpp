// Tests of the learning rate, the trainer, checkpoints and the run folder.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "checkpoint.h"
#include "checkpoint/write_checkpoint.h"
#include "error.h"
#include "generator.h"
#include "model/weight_places.h"
#include "operations/device_fixture.h"
#include "run_folder.h"
#include "run_training.h"
#include "trainer.h"
#include "training/checkpoint_writer.h"
#include "util/atomic_file.h"
#include "util/bf16.h"
#include "util/number_text.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;

/// A fixture whose folder is the working folder while the test runs.
class InOwnFolder : public testing::Test {
 protected:
  InOwnFolder()
      : before_(fs::current_path()),
        folder_(fs::temp_directory_path() / ("hipgpt-training-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::current_path(folder_);
  }
  ~InOwnFolder() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }

 private:
  fs::path before_, folder_;
};

TEST(LearningRateTest, WarmsUpLinearlyAndFallsAlongACosine) {
  const TrainerOptions o{.steps = 110, .warmup_steps = 10, .learning_rate = 1.0f, .min_learning_rate = 0.1f};
  EXPECT_NEAR(learning_rate_at(1, o), 0.1, 1e-9);
  EXPECT_NEAR(learning_rate_at(5, o), 0.5, 1e-9);
  EXPECT_NEAR(learning_rate_at(10, o), 1.0, 1e-9);
  EXPECT_NEAR(learning_rate_at(60, o), 0.55, 1e-7);  // halfway down
  EXPECT_NEAR(learning_rate_at(35, o), 0.1 + 0.9 * 0.5 * (1 + std::cos(std::acos(-1.0) / 4)), 1e-7);
  EXPECT_NEAR(learning_rate_at(110, o), 0.1, 1e-7);
}

TEST(LearningRateTest, WithoutWarmUpItStartsAtTheMaximum) {
  const TrainerOptions o{.steps = 1, .warmup_steps = 0, .learning_rate = 1.0f, .min_learning_rate = 0.1f};
  EXPECT_NEAR(learning_rate_at(1, o), 0.1, 1e-7);
  TrainerOptions longer = o;
  longer.steps = 1000;
  EXPECT_NEAR(learning_rate_at(1, longer), 1.0, 1e-4);
}

constexpr ModelConfig kSmall{
    .vocab_size = 7, .max_seq_len = 6, .embed_dim = 8, .num_heads = 2, .num_layers = 1, .ff_hidden_dim = 8};

/// Writes a tokens.bin that repeats 0 1 2 3 4 5 6.
TokenFile repetitive_tokens(size_t count) {
  TokenFileWriter writer("tokens.bin", 7, 0, 0, count);
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<int32_t>(i % 7);
  writer.append(tokens);
  writer.commit();
  return TokenFile::open("tokens.bin");
}

/// Writes a checkpoint; returns the checksum of its weights.
std::string save(const GPTModel& model, const CheckpointInfo& info, const std::string& path) {
  AtomicFile file(path);
  const std::string checksum = write_checkpoint(file, {model.device(), model.weights()}, info);
  file.commit();
  return checksum;
}

class TrainerTest : public InOwnFolder, public testing::WithParamInterface<DeviceCase> {
 protected:
  TrainerTest() : tokens_(repetitive_tokens(500)), data_(tokens_, 0, 500, 4, kSmall.max_seq_len, 1) {}

  struct Run {
    std::unique_ptr<Device> device;
    GPTModel model;
    Trainer trainer;
    Run(const DataLoader& data, const TrainerOptions& options, const DeviceCase& where = GetParam(),
        DType dtype = DType::kF32)
        : device(make_device(where.name, where.threads)),
          model(*device, kSmall, dtype),
          trainer((initialize(model, options.seed), model), data, options) {}

    std::vector<float> weights() {
      std::vector<float> w(static_cast<size_t>(model.weights().size()));
      device->copy_to_host(w.data(), model.weights().flat());
      return w;
    }
  };

  static TrainerOptions options() {
    return {.batch = 4,
            .steps = 200,
            .warmup_steps = 10,
            .learning_rate = 1e-2f,
            .min_learning_rate = 1e-3f,
            .seed = 3};
  }

  void continues_exactly(DType dtype);

  TokenFile tokens_;
  DataLoader data_;
};

INSTANTIATE_TEST_SUITE_P(Devices, TrainerTest, testing::ValuesIn(all_devices()), case_name);

TEST_P(TrainerTest, LearnsARepetitiveText) {
  Run run(data_, options());
  run.trainer.train_step();
  EXPECT_NEAR(run.trainer.last_step().loss, std::log(7.0), 0.1);
  for (int i = 1; i < 200; ++i) run.trainer.train_step();
  EXPECT_EQ(run.trainer.step(), 200);
  EXPECT_LT(evaluate(run.trainer.pass(), data_, 0), 0.05);
}

/// The micro-batches of step n are rows of batch n - 1, and its gradient is their mean. The test compares
/// three steps, because many wrong numbers are right in the first step.
TEST_P(TrainerTest, GradientAccumulationIsTheMeanOverTheBatchesOfItsStep) {
  TrainerOptions accumulated = options();
  accumulated.grad_accum = 2;
  Run run(data_, accumulated), reference(data_, options());
  std::vector<int32_t> inputs(24), targets(24);
  for (uint64_t step = 0; step < 3; ++step) {
    reference.device->copy_to_device(reference.model.weights().flat(), run.weights().data());
    GPTWeights grads(*reference.device, kSmall);
    double loss = 0;
    for (const uint32_t first_row : {0, 4}) {
      data_.random_batch(step, inputs.data(), targets.data(), first_row);
      loss += 0.5 * reference.trainer.pass().loss_and_gradients(inputs, targets, grads, 0.5f, {}, 0);
    }
    std::vector<float> gradient(static_cast<size_t>(grads.flat().size()));
    reference.device->copy_to_host(gradient.data(), grads.flat());
    double squares = 0;
    for (const float g : gradient) squares += std::pow(g, 2);
    run.trainer.train_step();
    const StepResult result = run.trainer.last_step();
    EXPECT_NEAR(result.loss, loss, 1e-6) << "step " << step + 1;
    EXPECT_NEAR(result.grad_norm, std::sqrt(squares), 1e-5) << "step " << step + 1;
  }
}

TEST_P(TrainerTest, MicroBatchesOfAnySizeMakeTheSameStep) {
  const auto losses = [&](int batch, int grad_accum) {
    TrainerOptions o = options();
    o.batch = batch;
    o.grad_accum = grad_accum;
    const DataLoader data(tokens_, 0, 500, batch, kSmall.max_seq_len, 1);
    Run run(data, o);
    std::vector<double> all;
    for (int i = 0; i < 5; ++i) {
      run.trainer.train_step();
      all.push_back(run.trainer.last_step().loss);
    }
    return all;
  };
  const auto whole = losses(8, 1);
  for (const auto& parts : {losses(4, 2), losses(2, 4), losses(1, 8)}) {
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i], whole[i], 1e-5) << "step " << i + 1;
  }
}

TEST_P(TrainerTest, NothingRemainsOfAnAbandonedStep) {
  TrainerOptions o = options();
  o.grad_accum = 3;
  Run abandoned(data_, o), straight(data_, o);
  EXPECT_FALSE(abandoned.trainer.train_step([](int done) { return done < 1; }));
  EXPECT_EQ(abandoned.trainer.step(), 0);
  for (Run* run : {&abandoned, &straight}) EXPECT_TRUE(run->trainer.train_step([](int) { return true; }));
  EXPECT_EQ(abandoned.trainer.last_step().loss, straight.trainer.last_step().loss);
  EXPECT_EQ(abandoned.weights(), straight.weights());
}

/// AdamW's first update moves a weight by the learning rate, whatever its gradient; matrices also decay.
TEST_P(TrainerTest, TheFirstStepMovesEveryWeightByTheLearningRate) {
  TrainerOptions o = options();
  o.weight_decay = 0.5f;
  Run run(data_, o);
  const auto before = run.weights();
  run.trainer.train_step();
  const auto after = run.weights();
  const double rate = learning_rate_at(1, o);
  for (const WeightPlace& p : weight_places(kSmall)) {
    const double decay = p.shape.size() == 2 ? 0.5 : 0.0;
    double largest = 0;
    for (int64_t i = p.offset; i < p.offset + p.size; ++i) {
      const double moved = std::abs(after[i] - before[i] * (1 - rate * decay));
      EXPECT_LT(moved, rate * 1.001) << p.name;
      largest = std::max(largest, moved);
    }
    EXPECT_GT(largest, rate * 0.99) << p.name;
  }
}

TEST_P(TrainerTest, LearnsInBf16AsInFp32AndRoundsTheMatricesOfEachStep) {
#ifdef HIPGPT_EMULATED
  constexpr int kSteps = 3;  // of a second each
#else
  constexpr int kSteps = 40;
#endif
  TrainerOptions fast = options();
  fast.warmup_steps = 0;
  Run exact(data_, fast), run(data_, fast, GetParam(), DType::kBF16);
  const double before = evaluate(exact.trainer.pass(), data_, 1);
  for (int i = 0; i < kSteps; ++i) {
    exact.trainer.train_step();
    run.trainer.train_step();
  }
  const double after = evaluate(exact.trainer.pass(), data_, 1);
  EXPECT_LT(after, before);
  EXPECT_NEAR(evaluate(run.trainer.pass(), data_, 1), after, 0.03);
  const Tensor rounded = run.model.rounded_matrices();
  std::vector<uint16_t> bits(static_cast<size_t>(rounded.size()));
  run.device->copy_to_host(bits.data(), rounded);
  const auto weights = run.weights();
  for (size_t i = 0; i < bits.size(); ++i) ASSERT_EQ(bits[i], to_bf16(weights[i])) << i;
}

/// The weights, the moments and the gradients of weights keep fp32's precision, so steps that are too small
/// for bf16 are not lost.
TEST_P(TrainerTest, SmallStepsAddUpInBf16) {
  TrainerOptions slow = options();
  slow.learning_rate = slow.min_learning_rate = 1e-6f;
  slow.warmup_steps = 0;
  Run run(data_, slow, GetParam(), DType::kBF16);
  const auto before = run.weights();
  for (int i = 0; i < 3; ++i) run.trainer.train_step();
  const auto after = run.weights();
  int moved = 0;
  for (size_t i = 0; i < before.size(); ++i) moved += before[i] != after[i] ? 1 : 0;
  EXPECT_GT(moved, static_cast<int>(before.size() / 2));
}

TEST_P(TrainerTest, ContinuesExactly) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) continues_exactly(dtype);
}

void TrainerTest::continues_exactly(DType dtype) {
  TrainerOptions with_dropout = options();
  with_dropout.dropout = 0.1f;
  Run whole(data_, with_dropout, GetParam(), dtype), first(data_, with_dropout, GetParam(), dtype),
      second(data_, with_dropout, GetParam(), dtype);
  const int steps = dtype == DType::kF32 ? 20 : 3, stop = dtype == DType::kF32 ? 8 : 1;
  for (int i = 0; i < steps; ++i) whole.trainer.train_step();
  for (int i = 0; i < stop; ++i) first.trainer.train_step();
  const std::string checksum = save(first.model, {kSmall, 1, stop}, "c.bin");
  HostWeights moments[] = {{*first.device, kSmall}, {*first.device, kSmall}};
  first.trainer.read_moments(
      [&](Moment moment, Tensor values) { moments[static_cast<int>(moment)].copy_from(values); });
  AtomicFile file("c.optimizer.bin");
  write_optimizer(file, moments[0], moments[1], {stop, checksum, 7, {{"seed", {"1"}}}});
  file.commit();
  const Checkpoint checkpoint = Checkpoint::open("c.bin");
  const OptimizerFile optimizer = OptimizerFile::open("c.optimizer.bin");
  EXPECT_TRUE(optimizer.belongs_to(checkpoint));
  EXPECT_EQ(optimizer.info().data_hash, 7u);
  EXPECT_TRUE(headers_belong_together("c.optimizer.bin", "c.bin"));
  save(whole.model, {kSmall, 1, stop}, "other.bin");
  EXPECT_FALSE(optimizer.belongs_to(Checkpoint::open("other.bin")));
  EXPECT_FALSE(headers_belong_together("c.optimizer.bin", "other.bin"));
  EXPECT_EQ(read_flags("c.optimizer.bin"), (RunFlags{{"seed", {"1"}}}));
  checkpoint.weights().load_into(second.model);
  second.trainer.start_at(optimizer.info().step, [&](Moment moment, const GPTWeights& values) {
    optimizer.load(moment, values, *second.device);
  });
  for (int i = stop; i < steps; ++i) second.trainer.train_step();
  EXPECT_EQ(whole.weights(), second.weights());
}

TEST_P(TrainerTest, DrawingSamplesChangesNothing) {
  TrainerOptions with_dropout = options();
  with_dropout.dropout = 0.1f;
  Run watched(data_, with_dropout), alone(data_, with_dropout);
  const std::vector<int32_t> prompt = {1, 2};
  Generator generator(watched.model, prompt, {});
  std::vector<int32_t> sample;
  for (int i = 0; i < 12; ++i) {
    watched.trainer.train_step();
    alone.trainer.train_step();
    if (i % 3 > 0) continue;
    generator.start(prompt);
    for (int n = 0; n < 10; ++n) generator.next();  // more tokens than the context holds
    sample = generator.tokens();
  }
  EXPECT_EQ(watched.weights(), alone.weights());
  EXPECT_EQ(watched.trainer.last_step().loss, alone.trainer.last_step().loss);
  // The sample comes from the weights of its own step, not from the initial ones.
  Run later(data_, with_dropout);
  for (int i = 0; i < 10; ++i) later.trainer.train_step();
  Generator fresh(later.model, prompt, {});
  for (int n = 0; n < 10; ++n) fresh.next();
  EXPECT_EQ(sample, fresh.tokens());
}

TEST_P(TrainerTest, StopsAtANonFiniteLossAndKeepsTheWeights) {
  Run run(data_, options());
  auto weights = run.weights();
  weights[3] = std::nanf("");
  run.device->copy_to_device(run.model.weights().flat(), weights.data());
  try {
    for (int i = 0; i < 50; ++i) {  // until a batch contains the token with the bad weight
      weights = run.weights();
      run.trainer.train_step();
      run.trainer.last_step();
    }
    FAIL() << "training continued with NaN";
  } catch (const NotFinite& failure) {
    EXPECT_EQ(failure.step, run.trainer.step());
    EXPECT_TRUE(std::isnan(failure.loss));
    EXPECT_EQ(std::memcmp(weights.data(), run.weights().data(), weights.size() * sizeof(float)), 0);
  }
}

TEST_P(TrainerTest, StopsAtANonFiniteGradientDespiteAFiniteLoss) {
  // Nothing reaches the head, so the loss equals that of guessing, but its gradient grows in the backward
  // pass.
  Run run(data_, options());
  std::vector<float> weights(run.weights().size(), 0.0f);
  const WeightPlace head = weight_place(kSmall, "lm_head.weight");
  const WeightPlace projection = weight_place(kSmall, "transformer.h.0.attn.c_proj.weight");
  std::fill_n(weights.begin() + head.offset, kSmall.embed_dim, 3e38f);  // only the row of token 0
  std::fill_n(weights.begin() + projection.offset, projection.size, 100.0f);
  run.device->copy_to_device(run.model.weights().flat(), weights.data());
  run.trainer.train_step();
  try {
    run.trainer.last_step();
    FAIL() << "training continued with an infinite gradient";
  } catch (const NotFinite& failure) {
    EXPECT_NEAR(failure.loss, std::log(7.0), 1e-5);
    EXPECT_FALSE(std::isfinite(failure.grad_norm));
    EXPECT_EQ(weights, run.weights());
  }
}

TEST_P(TrainerTest, ResultsThatAreReadLateAreStillChecked) {
  Run run(data_, options());
  for (int i = 0; i < 3; ++i) run.trainer.train_step();
  auto weights = run.weights();
  for (float& w : weights) w = std::nanf("");
  run.device->copy_to_device(run.model.weights().flat(), weights.data());
  for (int i = 0; i < 60; ++i) run.trainer.train_step();
  try {
    run.trainer.last_step();
    FAIL() << "60 steps with NaN raised no error";
  } catch (const NotFinite& failure) {
    EXPECT_EQ(failure.step, 4);
  }
}

/// Over 50 steps with dropout and accumulation, the losses match the CPU's.
TEST_P(TrainerTest, TrainsAsTheCpuDoes) {
  TrainerOptions o = options();
  o.dropout = 0.1f;
  o.grad_accum = 2;
  Run run(data_, o), cpu(data_, o, {"cpu", 1});
  for (int i = 0; i < 50; ++i) {
    run.trainer.train_step();
    cpu.trainer.train_step();
    const double expected = cpu.trainer.last_step().loss;
    ASSERT_NEAR(run.trainer.last_step().loss, expected, 1e-4 * expected) << "step " << i + 1;
  }
}

TEST_P(TrainerTest, TwoRunsAreBitIdentical) {
  TrainerOptions o = options();
  o.dropout = 0.1f;
  Run one(data_, o), two(data_, o);
  for (int i = 0; i < 20; ++i) {
    one.trainer.train_step();
    two.trainer.train_step();
  }
  EXPECT_EQ(one.weights(), two.weights());
}

TEST_P(TrainerTest, EvaluationCoversTheTextOnceOrAnEvenSampleOfIt) {
  Run run(data_, options());
  const double all = evaluate(run.trainer.pass(), data_, 0);
  EXPECT_EQ(all, evaluate(run.trainer.pass(), data_, 1000));
  double by_hand = 0;
  std::vector<int32_t> inputs(6), targets(6);
  const int windows = (500 - 1) / 6;
  for (int w = 0; w < windows; ++w) {
    tokens_.copy(static_cast<size_t>(w) * 6, 6, inputs.data());
    tokens_.copy(static_cast<size_t>(w) * 6 + 1, 6, targets.data());
    by_hand += run.trainer.pass().loss(inputs, targets) / windows;
  }
  EXPECT_NEAR(all, by_hand, 1e-6);
}

/// Two of six groups of 32 windows: the first and the fourth, in computations of any size.
TEST_P(TrainerTest, AnEvaluationOfAPartIsSpreadAndDoesNotDependOnTheBatchSize) {
  const TokenFile tokens = repetitive_tokens(1000);
  TrainerOptions o = options();
  for (const int batch : {1, 5, 32, 40}) {
    o.batch = batch;
    const DataLoader data(tokens, 0, 1000, batch, kSmall.max_seq_len, 1);
    Run run(data, o);
    std::vector<int32_t> inputs(6), targets(6);
    double by_hand = 0;
    for (const size_t first : {0, 96}) {
      for (size_t w = first; w < first + 32; ++w) {
        tokens.copy(w * 6, 6, inputs.data());
        tokens.copy(w * 6 + 1, 6, targets.data());
        by_hand += run.trainer.pass().loss(inputs, targets) / 64;
      }
    }
    EXPECT_NEAR(evaluate(run.trainer.pass(), data, 2), by_hand, 1e-6) << "batch " << batch;
  }
}

class CheckpointTest : public InOwnFolder {
 protected:
  CheckpointTest() : device_(any_device()), model_(*device_, kSmall) {
    initialize(model_, 5);
    save(model_, {kSmall, 0xfeedface12345678, 42}, "good.bin");
  }

  /// Expects an error for the good checkpoint after `change`, written as another program would: without
  /// HipGPT's checksums.
  void expect_refused(
      const std::function<void(std::vector<SafetensorsTensor>&, std::map<std::string, std::string>&)>& change,
      const std::string& expected) {
    const SafetensorsFile good = SafetensorsFile::open("good.bin");
    auto tensors = good.tensors();
    auto metadata = good.metadata();
    metadata.erase("checksum");
    metadata.erase("header_checksum");
    change(tensors, metadata);
    write_safetensors("bad.bin", tensors, metadata);
    try {
      Checkpoint::open("bad.bin");
      FAIL() << "accepted; expected an error that says: " << expected;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("bad.bin"), std::string::npos) << error.what();
    }
  }

  std::unique_ptr<Device> device_;
  GPTModel model_;
};

/// The writer saves the state at the moment of the call, whatever training does while the files are written.
TEST_F(CheckpointTest, AWriterSavesTheStateAtTheCall) {
  const TokenFile tokens = repetitive_tokens(500);
  const DataLoader data(tokens, 0, 500, 4, kSmall.max_seq_len, 1);
  Trainer trainer(model_, data, {.batch = 4, .learning_rate = 1e-2f});
  RunFolder folder("run");
  folder.create();
  CheckpointWriter writer(folder, *device_, kSmall,
                          {.keep_last = 9,
                           .keep_best = false,
                           .keep_previous = true,
                           .tokenizer_json = {},
                           .tokenizer_hash = 7,
                           .data_hash = 8,
                           .flags = {},
                           .roles = {}});
  const auto weights_of = [&](const GPTModel& model) {
    std::vector<float> values(static_cast<size_t>(model.weights().size()));
    device_->copy_to_host(values.data(), model.weights().flat());
    return values;
  };
  std::map<int64_t, std::vector<float>> saved;
  for (int i = 0; i < 8; ++i) {
    trainer.train_step();
    if (i % 2 == 1) continue;
    saved[trainer.step()] = weights_of(model_);
    writer.save(model_, trainer);
  }
  writer.wait();
  EXPECT_EQ(writer.saved_step(), 7);
  GPTModel loaded(*device_, kSmall);
  for (const auto& [step, weights] : saved) {
    Checkpoint::open(folder.checkpoint(step)).weights().load_into(loaded);
    EXPECT_EQ(weights_of(loaded), weights) << step;
  }
}

TEST_F(CheckpointTest, RoundTrip) {
  const Checkpoint checkpoint = Checkpoint::open("good.bin");
  EXPECT_EQ(checkpoint.info().config, kSmall);
  EXPECT_EQ(checkpoint.info().step, 42);
  EXPECT_EQ(checkpoint.info().tokenizer_hash, 0xfeedface12345678u);
  GPTModel other(*device_, kSmall);
  checkpoint.weights().load_into(other);
  std::vector<float> saved(static_cast<size_t>(model_.weights().size())), loaded(saved.size());
  device_->copy_to_host(saved.data(), model_.weights().flat());
  device_->copy_to_host(loaded.data(), other.weights().flat());
  EXPECT_EQ(saved, loaded);
  EXPECT_NO_THROW(
      checkpoint.check_tokenizer(0xfeedface12345678, checkpoint.info().config.vocab_size, "tokenizer.json"));
  EXPECT_THROW(checkpoint.check_tokenizer(1, checkpoint.info().config.vocab_size, "tokenizer.json"), Error);
  EXPECT_THROW(checkpoint.check_tokenizer(0xfeedface12345678, checkpoint.info().config.vocab_size + 1,
                                          "tokenizer.json"),
               Error);
}

TEST_F(CheckpointTest, RefusesWhatDoesNotFitItsModel) {
  expect_refused([](auto&, auto& m) { m.erase("hipgpt_format"); }, "not a HipGPT checkpoint");
  expect_refused([](auto&, auto& m) { m["hipgpt_format"] = "checkpoint-2"; }, "another version");
  expect_refused([](auto&, auto& m) { m["hipgpt_format"] = "optimizer-1"; }, "not checkpoint-1");
  expect_refused([](auto&, auto& m) { m["step"] = "-1"; }, "negative");
  expect_refused([](auto&, auto& m) { m["step"] = "soon"; }, "not a number");
  expect_refused([](auto&, auto& m) { m["tokenizer_hash"] = "xyz"; }, "not a number");
  expect_refused([](auto&, auto& m) { m["token_roles"] = "{"; }, "metadata 'token_roles': is not JSON");
  expect_refused([](auto&, auto& m) { m["token_roles"] = R"({"eos_token_id":"a"})"; },
                 "metadata 'token_roles': \"eos_token_id\" is \"a\"");
  expect_refused([](auto&, auto& m) { m["embed_dim"] = "16"; }, "has shape");
  expect_refused([](auto&, auto& m) { m["num_layers"] = "2"; }, "has no tensor");
  expect_refused([](auto&, auto& m) { m["head_bias"] = "false"; }, "tensors");
  expect_refused([](auto&, auto& m) { m["num_heads"] = "3"; }, "not divisible");
  expect_refused([](auto& t, auto&) { t.pop_back(); }, "has no tensor");
  expect_refused([](auto& t, auto&) { t[0].dtype = "I32"; }, "not F32");
  expect_refused([](auto& t, auto&) { t[0].shape = {t[0].bytes.size() / 4}; }, "has shape");
  std::vector<float> poisoned(7 * 8, std::nanf(""));
  expect_refused([&](auto& t, auto&) { t[0].bytes = std::as_bytes(std::span(poisoned)); }, "not finite");
}

TEST_F(CheckpointTest, OptimizerPathIsNextToTheCheckpoint) {
  EXPECT_EQ(optimizer_path("gpt_checkpoint.bin"), "gpt_checkpoint.optimizer.bin");
  EXPECT_EQ(optimizer_path("a.b/c"), "a.b/c.optimizer.bin");
}

class RunFolderTest : public InOwnFolder {
 protected:
  static void touch(const std::string& path) { std::ofstream(path) << path; }
  static std::string content(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

TEST_F(RunFolderTest, WithoutANameItIsTheWorkingFolder) {
  const RunFolder folder("");
  EXPECT_EQ(folder.tokenizer(), "tokenizer.json");
  EXPECT_EQ(folder.checkpoint(7), "gpt_checkpoint.bin");
  EXPECT_EQ(folder.latest(), "gpt_checkpoint.bin");
}

TEST_F(RunFolderTest, KeepsTheNewestAndLinksToTheLast) {
  RunFolder folder("r");
  folder.create();
  touch("checkpoints/r/step_x.bin");    // not ours
  touch("checkpoints/r/step_999.bin");  // from an earlier, longer run: must stay
  for (const int step : {10, 20, 100, 110}) {
    touch(folder.checkpoint(step));
    touch(optimizer_path(folder.checkpoint(step)));
    folder.on_checkpoint_written(step, 2);
    EXPECT_EQ(content(folder.latest()), folder.checkpoint(step));
    EXPECT_EQ(optimizer_candidates(folder.latest()), std::vector{optimizer_path(folder.checkpoint(step))});
  }
  for (const int step : {10, 20}) EXPECT_FALSE(fs::exists(folder.checkpoint(step))) << step;
  for (const int step : {100, 110}) EXPECT_TRUE(fs::exists(optimizer_path(folder.checkpoint(step)))) << step;
  EXPECT_FALSE(fs::exists(optimizer_path(folder.checkpoint(20))));
  EXPECT_TRUE(fs::exists("checkpoints/r/step_x.bin"));
  EXPECT_TRUE(fs::exists("checkpoints/r/step_999.bin"));
}

TEST_F(RunFolderTest, ANameIsASingleFolder) {
  for (const char* name : {"a/b", "..", ".", "/tmp"}) EXPECT_THROW(RunFolder{name}, Error) << name;
}

// ---- Whole runs

class RunTest : public InOwnFolder {
 protected:
  RunTest() {
    std::ofstream text("text.txt");
    for (int i = 0; i < 300; ++i) text << "one two " << i << " three. ";
  }

  static TrainingRun small_run(const std::string& name) {
    TrainingRun run;
    run.data_paths = {"text.txt"};
    run.vocab_size = 260;
    run.model.dim = 8;
    run.model.heads = 2;
    run.model.seq = 8;
    run.training.batch = 4;
    run.training.steps = 4;
    run.run_name = name;
    run.device = "cpu";
    return run;
  }

  static std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(RunTest, SavesByTimeUnlessToldOtherwiseAndKeepsTheNumbers) {
  TrainingRun by_time = small_run("time"), at_the_end = small_run("end"), slow = small_run("slow");
  by_time.checkpoint_seconds = 0;
  at_the_end.checkpoint_every = 0;
  at_the_end.checkpoint_seconds = 0;
  for (const TrainingRun& run : {by_time, at_the_end, slow}) EXPECT_EQ(run_training(run), 0);
  EXPECT_TRUE(fs::exists("checkpoints/time/step_2.bin"));
  EXPECT_FALSE(fs::exists("checkpoints/end/step_2.bin"));
  EXPECT_FALSE(fs::exists("checkpoints/slow/step_2.bin"));
  for (const char* file : {"step_4.bin", "step_4.optimizer.bin"}) {
    EXPECT_FALSE(bytes_of(std::string("checkpoints/time/") + file).empty());
    EXPECT_TRUE(bytes_of(std::string("checkpoints/time/") + file) ==
                bytes_of(std::string("checkpoints/end/") + file));
  }
}

TEST(TextTest, DurationsAndNumbers) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(65.4), "1:05");
  EXPECT_EQ(duration_text(3600), "1:00:00");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1554056), "1,554,056");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(counted(0, "token"), "0 tokens");
  EXPECT_EQ(counted(1, "token"), "1 token");
  EXPECT_EQ(counted(1234, "token"), "1,234 tokens");
  EXPECT_EQ(counted(1, "batch", "batches"), "1 batch");
  EXPECT_EQ(counted(2, "batch", "batches"), "2 batches");
  EXPECT_EQ(bytes_text(999), "999 bytes");
  EXPECT_EQ(bytes_text(1000), "1.0 kB");
  EXPECT_EQ(bytes_text(999'960), "1.0 MB");
  EXPECT_EQ(bytes_text(~uint64_t{0}), "18.4 EB");
}

}  // namespace
}  // namespace hipgpt
