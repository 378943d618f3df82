# docker build -t tessy . && docker run --rm -v "$PWD:/work" tessy synth questions.jsonl --out run …
FROM python:3.12-slim

# bubblewrap isolates programs in answers (--verify code); it needs user namespaces, or
# docker run --security-opt seccomp=unconfined.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends bubblewrap \
  && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt '.[export,hub,report,verify]' s3fs \
  && useradd --create-home tessy \
  && mkdir /work \
  && chown tessy /work

USER tessy
WORKDIR /work
ENTRYPOINT ["tessy"]
CMD ["--help"]
