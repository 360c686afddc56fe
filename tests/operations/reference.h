// The definition of every operation (src/reference), and helpers for comparing with it.
#pragma once

#include "reference/activation.h"
#include "reference/adamw.h"
#include "reference/attention.h"
#include "reference/central_differences.h"
#include "reference/dropout.h"
#include "reference/embedding.h"
#include "reference/layernorm.h"
#include "reference/matmul.h"
#include "reference/sampling.h"
#include "reference/softmax_cross_entropy.h"
