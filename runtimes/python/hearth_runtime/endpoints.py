"""boto3 before 1.28 does not know AWS_ENDPOINT_URL and would call Amazon: its clients get the endpoint from here.

Loaded when botocore.session is. A newer botocore, which looks for the variables itself, is left alone.
Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
"""

import os


def _service_variable(session, service_name):
    """AWS_ENDPOINT_URL_SECRETS_MANAGER for the client "secretsmanager": the name is made of the service's id."""
    service_id = session.get_service_model(service_name).service_id
    return "AWS_ENDPOINT_URL_" + service_id.replace(" ", "_").replace("-", "_").upper()


def _endpoint(session, service_name):
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    if any(name.startswith("AWS_ENDPOINT_URL_") for name in os.environ):
        own = os.environ.get(_service_variable(session, service_name))
        if own:
            return own
    return os.environ.get("AWS_ENDPOINT_URL") or None


def _knows_the_variables():
    import botocore

    major, minor = (int(part) for part in botocore.__version__.split(".")[:2])
    return (major, minor) >= (1, 31)


def give_default(session_module):
    if _knows_the_variables():
        return
    create_client = session_module.Session.create_client

    def with_endpoint(self, service_name, region_name=None, api_version=None, use_ssl=True, verify=None,
                      endpoint_url=None, *args, **kwargs):
        if endpoint_url is None:
            endpoint_url = _endpoint(self, service_name)
        return create_client(self, service_name, region_name, api_version, use_ssl, verify, endpoint_url, *args, **kwargs)

    with_endpoint.__name__ = create_client.__name__
    with_endpoint.__doc__ = create_client.__doc__
    session_module.Session.create_client = with_endpoint
