# The image of every Daybook process. Each command of `daybook` can be run with it: docker-compose.yml.

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/daybook
# The dependencies first: they change seldom, and this layer is then kept.
COPY requirements-image.lock ./
RUN /opt/daybook/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-image.lock
COPY pyproject.toml ./
COPY domain ./domain
COPY eventstore ./eventstore
COPY projections ./projections
COPY api ./api
COPY workers ./workers
COPY migrations ./migrations
RUN /opt/daybook/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin daybook
COPY --from=build /opt/daybook /opt/daybook
ENV PATH=/opt/daybook/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home
EXPOSE 8100
ENTRYPOINT ["daybook"]
CMD ["serve"]
