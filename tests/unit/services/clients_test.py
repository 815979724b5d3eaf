"""The API front as an unmodified botocore sees it: what it signs is accepted, what we answer it understands.

    clients_test.py PATH-TO-api_server        exit 77: this Python has no botocore (meson: skipped)
"""
import json
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

try:
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import ClientError
except ImportError:
    sys.exit(77)


class Front(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.told = json.loads(cls.server.stdout.readline())

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        status = cls.server.wait(timeout=20)
        cls.server.stdout.close()
        assert status == 0, status

    def client(self, service, key=None, secret=None, token=None, **config):
        root = self.told["root"]
        # a file name that is not there: nothing of this machine's own configuration may be read
        session = botocore.session.Session(session_vars={"config_file": (None, None, "/nonexistent", None)})
        client = session.create_client(
            service, region_name="us-east-1", endpoint_url="http://127.0.0.1:%d" % self.told["port"],
            aws_access_key_id=key or root[0], aws_secret_access_key=secret or root[1], aws_session_token=token,
            config=Config(retries={"max_attempts": 0}, **config))
        self.addCleanup(client._endpoint.http_session.close)
        return client

    def instance(self, service):
        return self.client(service, *self.told["instance"])

    def refused(self, code, status, call, **arguments):
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], code)
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertRegex(answer["ResponseMetadata"]["RequestId"], "^[0-9a-f-]{36}$")
        self.assertEqual(type(caught.exception).__name__ in (code, "ClientError"), True)
        return answer["Error"]["Message"]

    def test_what_botocore_signs_is_accepted(self):
        awkward = ["hello", "arn:aws:lambda:us-east-1:000000000000:function:hello", "hello:$LATEST", "a b+c/d~e%f'(g)*!",
                   "\u1234\U0001f600", "..", "a..b"]
        for name in awkward:
            answer = self.client("lambda").invoke(FunctionName=name, Payload=b'{"a": 1}', LogType="Tail",
                                                  ClientContext="e30=", Qualifier="q")
            self.assertEqual(json.loads(answer["Payload"].read())["name"], name)
            self.assertRegex(answer["ResponseMetadata"]["RequestId"], "^[0-9a-f-]{36}$")

    def test_bodies_of_all_sizes_are_accepted(self):
        for size in (0, 1, 65536, 65537, 300000):
            answer = self.client("lambda").invoke(FunctionName="f", Payload=b"x" * size)
            self.assertEqual(json.loads(answer["Payload"].read())["bytes"], size)

    def test_queries_are_accepted(self):
        self.client("lambda").list_functions(Marker="a b+c&d=e/f~\u00e9", MaxItems=5, FunctionVersion="ALL")

    def test_errors_of_lambda_have_code_and_message(self):
        get = self.client("lambda").get_function
        for name, code, status in (("not found", "ResourceNotFoundException", 404),
                                   ("invalid", "InvalidParameterValueException", 400),
                                   ("exists", "ResourceConflictException", 409),
                                   ("precondition", "PreconditionFailedException", 412),
                                   ("throttled", "TooManyRequestsException", 429),
                                   ("denied", "AccessDeniedException", 403)):
            self.assertEqual(self.refused(code, status, get, FunctionName=name), 'what "was" tried <here>')
        self.assertEqual(self.refused("ServiceException", 500, get, FunctionName="internal"),
                         "An error occurred and the request cannot be processed.")

    def test_the_members_of_modelled_errors_are_filled(self):
        client = self.client("lambda")
        with self.assertRaises(client.exceptions.ResourceNotFoundException) as caught:
            client.get_function(FunctionName="not found")
        self.assertEqual(caught.exception.response["Error"]["Message"], 'what "was" tried <here>')
        if "Message" in caught.exception.response:  # botocore since 1.15 parses the shape's members
            self.assertEqual(caught.exception.response["Message"], 'what "was" tried <here>')
            self.assertEqual(caught.exception.response["Type"], "User")

    def test_an_operation_that_is_not_here_is_unknown(self):
        self.refused("UnknownOperationException", 404, self.client("lambda").create_alias, FunctionName="f", Name="a",
                     FunctionVersion="1")

    def test_too_large_a_body_is_refused(self):
        message = self.refused("RequestEntityTooLargeException", 413, self.client("lambda").invoke, FunctionName="f",
                               Payload=b"x" * 307201)
        self.assertIn("smaller than 307200 bytes for the InvokeFunction operation", message)

    def test_unknown_keys_and_wrong_secrets(self):
        listing = {"lambda": "list_functions", "sts": "get_caller_identity", "dynamodb": "list_tables"}
        for service, unknown, mismatch, status in (
                ("lambda", "UnrecognizedClientException", "InvalidSignatureException", 403),
                ("sts", "InvalidClientTokenId", "SignatureDoesNotMatch", 403),
                ("dynamodb", "UnrecognizedClientException", "InvalidSignatureException", 400)):
            call = getattr(self.client(service, key="AKIAIOSFODNN7UNKNOWN"), listing[service])
            self.assertEqual(self.refused(unknown, status, call),
                             "The security token included in the request is invalid.")
            call = getattr(self.client(service, secret="wrong"), listing[service])
            self.assertIn("The request signature we calculated does not match", self.refused(mismatch, status, call))

    def test_an_instances_credentials(self):
        self.instance("lambda").invoke(FunctionName="f")
        self.assertRegex(self.instance("sts").get_caller_identity()["Arn"], ":assumed-role/hearth-basic/hello$")
        self.assertIn("is not authorized to perform: lambda:GetFunction",
                      self.refused("AccessDeniedException", 403, self.instance("lambda").get_function, FunctionName="f"))

    def test_sts_says_who_is_calling(self):
        answer = self.client("sts").get_caller_identity()
        self.assertEqual((answer["Account"], answer["Arn"], answer["UserId"]),
                         ("000000000000", "arn:aws:iam::000000000000:root", "000000000000"))

    def test_other_operations_of_sts_are_invalid_actions(self):
        message = self.refused("InvalidAction", 400, self.client("sts").assume_role,
                               RoleArn="arn:aws:iam::000000000000:role/x", RoleSessionName="s" * 10)
        self.assertEqual(message, "Could not find operation AssumeRole for version 2011-06-15")

    def test_services_that_are_not_here(self):
        self.refused("UnknownOperationException", 400, self.client("dynamodb").describe_limits)
        self.refused("UnknownOperationException", 404, self.client("s3", s3={"addressing_style": "path"}).list_buckets)
        self.assertIn("'iam' is not provided", self.refused("InvalidAction", 400, self.client("iam").list_users))
        self.assertIn("'events' is not provided",
                      self.refused("UnknownOperationException", 400, self.client("events").list_rules))

    def test_presigned_requests(self):
        for service, name in (("sts", "get_caller_identity"), ("lambda", "list_functions")):
            url = self.client(service).generate_presigned_url(name, ExpiresIn=60, HttpMethod="GET")
            with urllib.request.urlopen(url) as answer:
                self.assertIn(answer.status, (200, 201))
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(url + "&x=y")
            self.assertEqual(caught.exception.code, 403)
            caught.exception.close()


SERVER = sys.argv.pop(1)
unittest.main(verbosity=1)
