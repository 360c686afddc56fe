# HipGPT for CPUs. Build it in the root of the project, and run it in the folder of a text:
#
#   docker build -f scripts/docker/cpu.Dockerfile -t hipgpt .
#   docker run --rm -it -v "$PWD:/work" -u "$(id -u):$(id -g)" hipgpt train_gpt --data-path my.txt
#   docker run --rm -it -v "$PWD:/work" -u "$(id -u):$(id -g)" hipgpt generate --prompt "To be"
FROM debian:12-slim AS build
COPY scripts/install_deps.sh /source/scripts/
RUN /source/scripts/install_deps.sh && apt-get install -y --no-install-recommends dpkg-dev file
COPY . /source
RUN cmake -S /source -B /build -DHIPGPT_TESTS=OFF -DHIPGPT_HIP_PLATFORM=none \
 && cmake --build /build --parallel "$(nproc)" \
 && cd /build && cpack -G DEB && mv hipgpt_*.deb /hipgpt.deb

FROM debian:12-slim
COPY --from=build /hipgpt.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/hipgpt.deb \
 && rm -rf /tmp/hipgpt.deb /var/lib/apt/lists/*
WORKDIR /work
CMD ["train_gpt", "--help"]
