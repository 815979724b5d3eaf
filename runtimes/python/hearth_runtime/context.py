"""The context object. Attributes and spelling are Lambda's.

Source: AWS Lambda Developer Guide, "Using the Lambda context object to retrieve Python function information".
"""

import os
import sys
import time


class _Plain:
    """An object with just the fields of its class, each of them None when the JSON has it not."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return f"{type(self).__name__}([{','.join(f'{name}={getattr(self, name)}' for name in self.__slots__)}])"


class CognitoIdentity(_Plain):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Plain):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Plain):
    __slots__ = ("custom", "env", "client")


_OF_THE_INSTANCE = {
    "log_group_name": os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
    "log_stream_name": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
    "function_name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME"),
    "memory_limit_in_mb": os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
    "function_version": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION"),
    "tenant_id": None,
    "client_context": None,
}


class LambdaContext:
    def __init__(self, invocation, client_context, identity):
        self.__dict__.update(_OF_THE_INSTANCE)
        self.aws_request_id = invocation.request_id
        self.invoked_function_arn = invocation.arn
        if client_context is not None:
            self.client_context = ClientContext(client_context)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        identity = identity or {}
        self.identity = CognitoIdentity({"cognito_identity_id": identity.get("cognitoIdentityId"),
                                         "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId")})
        self._epoch_deadline_time_in_ms = invocation.deadline_ms

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        shown = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return f"{type(self).__name__}([{','.join(f'{name}={getattr(self, name)}' for name in shown)}])"
