# HipGPT for AMD GPUs, with AMD's ROCm. Build it in the root of the project, for your GPU's architecture:
#
#   docker build -f scripts/docker/rocm.Dockerfile --build-arg ARCHITECTURES="gfx90a;gfx942" -t hipgpt-rocm .
#   docker run --rm -it --device /dev/kfd --device /dev/dri --group-add video --group-add "$(stat -c %g /dev/kfd)" \
#     -v "$PWD:/work" hipgpt-rocm train_gpt --data-path my.txt
FROM rocm/dev-ubuntu-22.04:6.2
ARG ARCHITECTURES="gfx90a;gfx942;gfx1030;gfx1100"
COPY scripts/install_deps.sh /source/scripts/
RUN /source/scripts/install_deps.sh && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN cmake -S /source -B /build -DHIPGPT_TESTS=OFF -DHIPGPT_HIP_PLATFORM=amd "-DHIPGPT_HIP_ARCHITECTURES=$ARCHITECTURES" \
 && cmake --build /build --parallel "$(nproc)" \
 && cmake --install /build --prefix /usr/local \
 && rm -rf /build
WORKDIR /work
CMD ["train_gpt", "--list-devices"]
